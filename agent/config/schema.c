/* `millrace config schema`: the option tables as JSON Schema (draft 2020-12), for editors. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config/config.h"
#include "base/core/buffer.h"
#include "base/core/memory.h"
#include "sinks/sink.h"
#include "sources/source.h"

static json_t *table_schema(const struct mr_option *options);

static json_t *words_schema(const char *const *words)
{
    json_t *list = json_array();

    for (; *words != NULL; words++) {
        json_array_append_new(list, json_string(*words));
    }
    return json_pack("{s:o}", "enum", list);
}

static json_t *type_schema(const struct mr_option *option)
{
    switch (option->type) {
    case MR_OPT_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case MR_OPT_INT:
        return json_pack("{s:[ss]}", "type", "integer", "string");
    case MR_OPT_SIZE:
    case MR_OPT_DURATION:
        return json_pack("{s:[ss]}", "type", "string", "integer");
    case MR_OPT_STRING:
    case MR_OPT_SECRET:
    case MR_OPT_REGEX:
        return json_pack("{s:[sss]}", "type", "string", "number", "boolean");
    case MR_OPT_ENUM:
        return words_schema(option->words);
    case MR_OPT_STRING_LIST:
        return json_pack("{s:[{s:s},{s:s,s:{s:s}}]}", "anyOf", "type", "string", "type", "array",
                         "items", "type", "string");
    case MR_OPT_TABLE:
        return table_schema(option->children);
    case MR_OPT_TABLE_LIST:
        return json_pack("{s:s,s:o}", "type", "array", "items", table_schema(option->children));
    case MR_OPT_TABLE_MAP:
        return json_pack("{s:s,s:o}", "type", "object", "additionalProperties",
                         table_schema(option->children));
    }
    return json_object();
}

static void put_properties(const struct mr_option *options, json_t *properties, json_t *required)
{
    for (; options->name != NULL; options++) {
        json_t *schema = type_schema(options);
        json_object_set_new(schema, "description", json_string(options->help));
        if (options->fallback != NULL) {
            json_object_set_new(schema, "default", json_string(options->fallback));
        }
        json_object_set_new(properties, options->name, schema);
        if (options->is_required) {
            json_array_append_new(required, json_string(options->name));
        }
    }
}

static json_t *object_schema(json_t *properties, json_t *required)
{
    return json_pack("{s:[ss],s:o,s:o,s:b}", "type", "object", "null", "properties", properties,
                     "required", required, "additionalProperties", 0);
}

static json_t *table_schema(const struct mr_option *options)
{
    json_t *properties = json_object();
    json_t *required = json_array();

    put_properties(options, properties, required);
    return object_schema(properties, required);
}

static json_t *plugin_schema(const struct mr_option *common, const char *name, const char *help,
                             const struct mr_option *options)
{
    json_t *properties = json_object();
    json_t *required = json_array();

    put_properties(common, properties, required);
    put_properties(options, properties, required);
    json_object_set_new(properties, "type",
                        json_pack("{s:s,s:s}", "const", name, "description", help));
    return object_schema(properties, required);
}

static json_t *sections_of(json_t *variants)
{
    return json_pack("{s:[ss],s:{s:o}}", "type", "object", "null", "additionalProperties", "oneOf",
                     variants);
}

void config_schema(struct mr_bytes *out)
{
    const struct source_type *source;
    const struct sink_type *sink;
    json_t *sources = json_array();
    json_t *sinks = json_array();
    json_t *schema = table_schema(config_options);
    json_t *properties = json_object_get(schema, "properties");

    for (size_t i = 0; (source = source_type_at(i)) != NULL; i++) {
        json_array_append_new(sources, plugin_schema(config_source_options, source->name,
                                                     source->help, source->options));
    }
    for (size_t i = 0; (sink = sink_type_at(i)) != NULL; i++) {
        json_array_append_new(
            sinks, plugin_schema(config_sink_options, sink->name, sink->help, sink->options));
    }
    json_object_set_new(properties, "sources", sections_of(sources));
    json_object_set_new(properties, "sinks", sections_of(sinks));
    json_object_set_new(schema, "$schema",
                        json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(schema, "title", json_string("millrace"));
    char *text = json_dumps(schema, JSON_INDENT(2));
    if (text != NULL) {
        mr_bytes_text(out, text);
        mr_bytes_text(out, "\n");
    } else {
        out->failed = -1;
    }
    free(text); /* jansson's own heap */
    json_decref(schema);
}
