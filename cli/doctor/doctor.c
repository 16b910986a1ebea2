#include "cli/doctor/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "cli/terminal.h"
#include "rpc/rpc.h"
#include "wire/json.h"

enum { AREA_COLUMNS = 12 };

static const struct {
    const char *name;
    enum style style;
} levels[] = {
    [DOCTOR_OK] = {"ok", STYLE_GOOD},
    [DOCTOR_WARN] = {"warn", STYLE_WARNING},
    [DOCTOR_FAIL] = {"fail", STYLE_BAD},
};

void doctor_say(struct doctor *doctor, enum doctor_level level, const char *area, const char *advice,
                const char *format, ...) {
    va_list args;

    va_start(args, format);
    vec_push(&doctor->findings, ((struct finding){
                                    .level = level,
                                    .area = area,
                                    .text = xvasprintf(format, args),
                                    .advice = advice ? xstrdup(advice) : NULL,
                                }));
    va_end(args);
}

/* ------------------------------------------------------------------ the report */

static void add_report(const struct doctor *doctor, const struct terminal *terminal, struct buf *out) {
    const char *area = "";

    for (size_t i = 0; i < doctor->findings.count; i++) {
        const struct finding *finding = &doctor->findings.items[i];
        const char *level = levels[finding->level].name;

        buf_printf(out, "%-*s", AREA_COLUMNS, strcmp(area, finding->area) == 0 ? "" : finding->area);
        terminal_add(terminal, levels[finding->level].style, level, out);
        buf_printf(out, "%*s", (int)(6 - strlen(level)), "");
        add_printable(out, finding->text);
        if (finding->advice)
            buf_printf(out, "\n%*s-> %s", AREA_COLUMNS + 6, "", finding->advice);
        buf_printf(out, "\n");
        area = finding->area;
    }
}

static void add_json_field(struct buf *out, const char *name, const char *text) {
    buf_printf(out, "\"%s\":", name);
    if (text)
        json_add_string(out, text);
    else
        buf_printf(out, "null");
}

static void add_json(const struct doctor *doctor, bool is_well, struct buf *out) {
    buf_printf(out, "{\"ok\":%s,\"checks\":[", is_well ? "true" : "false");
    for (size_t i = 0; i < doctor->findings.count; i++) {
        const struct finding *finding = &doctor->findings.items[i];

        buf_printf(out, "%s{", i ? "," : "");
        add_json_field(out, "area", finding->area);
        buf_printf(out, ",");
        add_json_field(out, "level", levels[finding->level].name);
        buf_printf(out, ",");
        add_json_field(out, "text", finding->text);
        buf_printf(out, ",");
        add_json_field(out, "advice", finding->advice);
        buf_printf(out, "}");
    }
    buf_printf(out, "]}\n");
}

/* ------------------------------------------------------------------ the command */

static bool examine(struct doctor *doctor) {
    doctor_check_containers(doctor);
    doctor_check_interpreters(doctor);
    doctor_check_places(doctor);
    doctor_check_limits(doctor);
    rpc_init();
    doctor_check_addresses(doctor);
    rpc_shutdown();
    for (size_t i = 0; i < doctor->findings.count; i++)
        if (doctor->findings.items[i].level == DOCTOR_FAIL)
            return false;
    return true;
}

static void print(const struct doctor *doctor, bool is_well, bool as_json) {
    struct terminal terminal = terminal_get();
    struct buf out = {0};

    if (as_json)
        add_json(doctor, is_well, &out);
    else
        add_report(doctor, &terminal, &out);
    terminal_write(&out);
}

static int load(const char *path, struct config *ret, struct status *st) {
    int r = 0;

    config_init_defaults(ret);
    if (path)
        r = config_load(ret, path, st);
    if (r == 0)
        config_settle_directories(ret);
    else
        config_clear(ret);
    return r;
}

/* A daemon that serves TLS is trusted by the certificate that its configuration names, if the flags do not say by what. */
static int load_credentials(const struct arguments *arguments, const struct config *config, struct credentials *ret,
                            struct status *st) {
    int r = credentials_load(arguments, ret, st);

    if (r < 0 || ret->ca || !config->tls_certificate[0])
        return r;
    r = credentials_trust(ret, config->tls_certificate, st);
    if (r < 0)
        credentials_clear(ret);
    return r < 0 ? status_prefix(st, "tls.certificate") : 0;
}

static int report(const struct arguments *arguments, const struct config *config,
                  const struct credentials *credentials) {
    const char *endpoint = arguments_value(arguments, "--endpoint");
    struct doctor doctor = {
        .config = config,
        .endpoint = endpoint ? endpoint : config->listen,
        .credentials = credentials,
    };
    bool is_well = examine(&doctor);

    print(&doctor, is_well, arguments_value(arguments, "--json"));
    vec_foreach (finding, &doctor.findings) {
        free(finding->text);
        free(finding->advice);
    }
    vec_free(&doctor.findings);
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct arguments *arguments, struct status *st) {
    struct credentials credentials;
    struct config config;
    int result = EXIT_USAGE;

    if (load(arguments_value(arguments, "--config"), &config, st) < 0)
        return EXIT_USAGE;
    if (load_credentials(arguments, &config, &credentials, st) == 0) {
        result = report(arguments, &config, &credentials);
        credentials_clear(&credentials);
    }
    config_clear(&config);
    return result;
}

static const struct flag flags[] = {
    {.name = "--config", .value = "FILE", .doc = "the daemon's configuration; without it, the defaults"},
    {.name = "--json", .doc = "as JSON, for programs"},
    {.name = "--endpoint",
     .value = "ADDRESS",
     .doc = "where a daemon may serve, if not where the configuration says",
     .variable = "TRESTLE_ENDPOINT"},
    CREDENTIALS_FLAGS,
};

const struct command command_doctor = {
    .name = "doctor",
    .summary = "what this machine can run, and what to do about what it cannot",
    .more =
        "  Run it as the user, with the environment, that the daemon runs with. Fails if something needs mending.\n",
    .flags = flags,
    .flag_count = ARRAY_COUNT(flags),
    .run = run,
};
