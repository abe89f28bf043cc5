#include "queue/broker/principal.h"

#include <ctype.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/text/regex.h"

struct rule {
    struct mr_regex *regex; /* NULL: DEFAULT */
    char *replacement;
    char letter_case; /* 'L', 'U', or 0 */
};

struct principal_rules {
    struct rule *rules;
    size_t count;
};

void principal_rules_free(struct principal_rules *rules)
{
    if (rules == NULL) {
        return;
    }
    for (size_t i = 0; i < rules->count; i++) {
        mr_regex_free(rules->rules[i].regex);
        mr_free(rules->rules[i].replacement);
    }
    mr_free(rules->rules);
    mr_free(rules);
}

/* The next slash that no backslash takes its meaning from. */
static const char *find_slash(const char *text)
{
    while (*text != '\0' && *text != '/') {
        text += text[0] == '\\' && text[1] != '\0' ? 2 : 1;
    }
    return *text == '/' ? text : NULL;
}

static int rule_parse(struct rule *rule, const char *text, struct mr_error *error)
{
    const char *pattern = text + 5;
    const char *replacement;
    const char *end;
    char *whole;
    int rc;

    if (strcmp(text, "DEFAULT") == 0) {
        return 0;
    }
    if (strncmp(text, "RULE:", 5) != 0 || (replacement = find_slash(pattern)) == NULL ||
        (end = find_slash(replacement + 1)) == NULL ||
        (end[1] != '\0' && (strchr("LU", end[1]) == NULL || end[2] != '\0'))) {
        return mr_fail_text(error, MR_EINVAL,
                            "'%s': a rule is DEFAULT, or RULE:pattern/replacement/ with an L or U "
                            "behind it",
                            text);
    }
    rule->letter_case = end[1];
    rule->replacement = mr_strndup(replacement + 1, (size_t)(end - replacement - 1));
    /* Java's matches(): the pattern must cover all of the subject. */
    whole = mr_asprintf("(?:%.*s)\\z", (int)(replacement - pattern), pattern);
    if (rule->replacement == NULL || whole == NULL) {
        mr_free(whole);
        return mr_fail(error, MR_ENOMEM, "'%s'", text);
    }
    rc = mr_regex_compile(whole, MR_REGEX_ANCHORED, &rule->regex, error);
    mr_free(whole);
    return rc != 0 ? mr_error_context(error, "'%s'", text) : 0;
}

int principal_rules_new(const char *const *texts, size_t count, struct principal_rules **ret_rules,
                        struct mr_error *error)
{
    static const char *const fallback[] = {"DEFAULT"};
    struct principal_rules *rules = mr_calloc(1, sizeof *rules);
    int rc = 0;

    if (count == 0) {
        texts = fallback;
        count = 1;
    }
    if (rules != NULL) {
        rules->rules = mr_calloc(count, sizeof *rules->rules);
    }
    if (rules == NULL || rules->rules == NULL) {
        mr_free(rules);
        return mr_fail(error, MR_ENOMEM, "rules");
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rules->count = i + 1;
        rc = rule_parse(&rules->rules[i], texts[i], error);
    }
    if (rc != 0) {
        principal_rules_free(rules);
        return rc;
    }
    *ret_rules = rules;
    return 0;
}

static int append(char *name, size_t name_size, size_t *size, const char *more, size_t more_size)
{
    if (more_size >= name_size - *size) {
        return MR_ETOOLARGE;
    }
    memcpy(name + *size, more, more_size);
    *size += more_size;
    name[*size] = '\0';
    return 0;
}

static int replace(const struct rule *rule, const char *subject, char *name, size_t name_size)
{
    size_t size = 0;
    int rc = 0;

    name[0] = '\0';
    for (const char *at = rule->replacement; rc == 0 && *at != '\0'; at++) {
        size_t start;
        size_t end;
        if (at[0] != '$' || at[1] < '0' || at[1] > '9') {
            rc = append(name, name_size, &size, at, 1);
            continue;
        }
        at += 1;
        if (mr_regex_capture(rule->regex, at[0] - '0', &start, &end)) {
            rc = append(name, name_size, &size, subject + start, end - start);
        }
    }
    for (size_t i = 0; rule->letter_case != '\0' && i < size; i++) {
        int c = (unsigned char)name[i];
        name[i] = (char)(rule->letter_case == 'L' ? tolower(c) : toupper(c));
    }
    return rc;
}

int principal_rules_apply(struct principal_rules *rules, const char *subject, char *name,
                          size_t name_size)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rules[i];
        size_t size = 0;
        if (rule->regex == NULL) {
            return append(name, name_size, &size, subject, strlen(subject));
        }
        if (mr_regex_match(rule->regex, subject, strlen(subject), 0) == 1) {
            return replace(rule, subject, name, name_size);
        }
    }
    return MR_ENOENT;
}
