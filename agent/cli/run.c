/* `millrace run`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/cli/cli.h"
#include "agent/config/config.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum { RUN_KEEP_BYTES = 8 * 1024 * 1024 };

/* systemd sets JOURNAL_STREAM for services whose stderr goes to the journal. */
static enum mr_log_format log_format(const struct config *config)
{
    if (config->log.format > 0) {
        return (enum mr_log_format)(config->log.format - 1);
    }
    return getenv("JOURNAL_STREAM") != NULL && getenv("INVOCATION_ID") != NULL &&
                   isatty(STDERR_FILENO) == 0
               ? MR_LOG_JOURNAL
               : MR_LOG_TEXT;
}

/* Shells allow 1,024 descriptors at first; the hard limit is what the system means to allow. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            mr_warn("the limit of open files stays as it is");
        }
    }
}

/* Nothing is ever executed from here, so that no child may gain anything. Dropping root by
 * ourselves is left to who starts us (the unit's User=, setpriv): threads, capabilities and the
 * owner of the data directory would all have to follow. */
static void give_up_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        mr_warn("the kernel has no no_new_privs");
    }
    if (geteuid() == 0) {
        mr_warn("running as root, which is more than it needs: docs/SECURITY.md says how not to");
    }
}

static int run_agent(const struct config *config)
{
    struct mr_error error = {0};
    struct agent *agent = NULL;
    int rc = agent_open(config, &agent, &error);

    if (rc != 0) {
        return cli_fail("run", CLI_FAILED, "%s", error.text);
    }
    rc = agent_run(agent);
    agent_free(agent);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

int cli_run(int argc, char **argv)
{
    const char *path = "/etc/millrace/millrace.yaml";
    const struct cli_option options[] = {{.name = "config", .letter = 'c', .value = &path}, {0}};
    int rest = cli_parse(argv[0], argc, argv, options);
    struct config *config;
    int rc;

    if (rest < 0) {
        return CLI_USAGE;
    }
    if (rest < argc) {
        return cli_fail("run", CLI_USAGE, "'%s' is not expected; the configuration goes behind -c",
                        argv[rest]);
    }
    config = cli_load_config(path);
    if (config == NULL) {
        return CLI_BAD_CONFIG;
    }
    raise_descriptor_limit();
    mr_memory_keep(RUN_KEEP_BYTES);
    mr_log_setup((enum mr_log_level)config->log.level, log_format(config));
    give_up_privileges();
    rc = run_agent(config);
    config_free(config);
    return rc;
}
