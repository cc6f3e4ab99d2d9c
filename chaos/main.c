/* chaos/main.c -- the program `ringfence-lab`, and its janitor.
 *
 * The process that the user started only waits: a child of it makes the laboratory and
 * plays. However that child ends (done, Ctrl-C, die(), a crash), the janitor removes what
 * it made; if the janitor itself is killed, the next start does (ground_sweep()).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos/base.h"
#include "chaos/lab.h"
#include "chaos/process.h"
#include "chaos/random.h"
#include "chaos/rejudge.h"
#include "chaos/verbs.h"

enum { EXIT_NOT_OK = 1, EXIT_NO_LAB = 2, EXIT_INTERRUPTED = 130 };

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t worker;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
    if (worker > 0)
        kill(worker, SIGKILL);
}

static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal};

    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader of our output that went away ends nothing */
}

static _Noreturn void work(struct plan *plan, const char *id, struct progress *progress)
{
    /* A worker without its janitor would run for nobody. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    lab_run(plan, id, progress);
    exit(0);
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* A folder per laboratory, named after the first scenario in it; malloc'ed. */
static char *logs_dir(struct plan *plan, unsigned first)
{
    return text_new("%s/%02u-%s", plan->options->logs, first + 1,
                    plan_scenario(plan, first)->name);
}

static void copy_logs(struct plan *plan, const char *id, unsigned first)
{
    AUTO(auto_free) char *to = logs_dir(plan, first);
    AUTO(auto_free)
    char *command =
        text_new("mkdir -p \"$1\"; cd /var/tmp/ringfence-lab/%s || exit 0; "
                 "cp -r log/. \"$1\"; for s in east west; do test ! -e $s/data.log || "
                 "cp $s/data.log \"$1/postgres-$s.log\"; done",
                 id);

    run_here((const char *[]){"/bin/sh", "-c", command, "sh", to, NULL});
    fprintf(plan->options->json ? stderr : stdout,
            "logs, and a page of each scenario: %s\n", to);
}

/* Of a drawn run that is not ok the schedule is told, and kept beside the logs. */
static void keep_schedule(struct plan *plan, unsigned first, unsigned at)
{
    uint32_t seed = plan_seed(plan, at);
    AUTO(auto_free) char *text = random_text(seed);
    AUTO(auto_free) char *name = random_name(seed);
    AUTO(auto_free) char *path = text_new("%s.yaml", name);
    FILE *out = plan->options->json ? stderr : stdout;

    if (plan->options->logs != NULL) {
        AUTO(auto_free) char *dir = logs_dir(plan, first);
        AUTO(auto_free) char *kept = text_new("%s/%s", dir, path);

        file_write(kept, 0644, text);
        free(path);
        path = text_new("%s", kept);
    }
    fprintf(out, "\nThe schedule of the seed %u, %s:\n%s", seed,
            plan->options->logs != NULL ? path : "which --logs would keep", text);
    fprintf(out, "To repeat it: ringfence-lab --file %s --seed %u\n", path, seed);
    fflush(out);
}

/* A scenario whose worker died has a result too, and it is not ok. */
static void record_death(struct plan *plan, struct progress *progress, int status)
{
    const struct options *o = plan->options;
    const struct scenario *s = plan_scenario(plan, progress->next - 1);
    struct result r;

    result_init(&r);
    r.scenario = s->name;
    r.sync = sync_name(options_sync(o, s));
    r.ttl_ms = options_ttl_ms(o, s);
    result_blame(&r, "the laboratory itself ended in the middle of it (status %d)", status);
    lab_record(plan, progress, &r);
}

/* Before it is removed. Of many runs only what is of interest is kept. */
static void keep_logs(struct plan *plan, const char *id, unsigned first,
                      const struct progress *progress)
{
    bool random = plan->options->random;

    if (plan->options->logs != NULL && (!random || progress->failed))
        copy_logs(plan, id, first);
    if (random && progress->failed)
        keep_schedule(plan, first, progress->next - 1);
}

/* One laboratory and what it carries; false: it could not be set up. */
static bool one_laboratory(struct plan *plan, const char *id, struct progress *progress)
{
    int lock = ground_lock(id), status;
    unsigned first = progress->next;
    bool kept;
    pid_t pid;

    progress->stands = progress->failed = progress->open = false;
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0)
        work(plan, id, progress);
    worker = pid;
    if (interrupted)
        kill(pid, SIGKILL); /* it came between fork() and the line above */
    status = wait_for(pid);
    worker = 0;
    if (progress->open && !interrupted)
        record_death(plan, progress, status);
    keep_logs(plan, id, first, progress);
    kept = plan->options->keep && progress->stands && !interrupted;
    if (interrupted)
        fprintf(stderr, "\nringfence-lab: interrupted: removing laboratory %s\n", id);
    if (kept)
        ground_keep(id);
    else
        ground_remove(id);
    if (interrupted)
        fprintf(stderr, "ringfence-lab: laboratory %s is removed\n", id);
    close(lock);
    return progress->stands;
}

static int sum_up_random(const struct options *o, const struct tally *t)
{
    tally_print(t, o->json ? stderr : stdout);
    if (o->json)
        tally_json(t, o->seed, stdout);
    return interrupted ? EXIT_INTERRUPTED : t->not_ok > 0 ? EXIT_NOT_OK : 0;
}

static int summarize(const struct options *o, const struct progress *progress)
{
    FILE *out = o->json ? stderr : stdout;
    unsigned ok = 0;

    if (o->random)
        return sum_up_random(o, &progress->tally);
    if (o->play_count > 1)
        result_row_head(out);
    for (unsigned i = 0; i < o->play_count; i++) {
        if (progress->played[i] && o->play_count > 1)
            result_row(&progress->results[i], out);
        ok += progress->played[i] && result_ok(&progress->results[i]);
    }
    if (o->play_count > 1)
        fprintf(out, "%u of %u ok\n", ok, o->play_count);
    return ok == o->play_count ? 0 : EXIT_NOT_OK;
}

static int play_all(const struct options *o)
{
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char id[16], bin[256];
    struct plan plan;
    bool stood = true;

    if (progress == MAP_FAILED)
        die("out of memory");
    snprintf(id, sizeof id, "%d", (int)getpid());
    lab_find_bin(o, bin, sizeof bin);
    plan_make(&plan, o);
    /* One that was kept is the last: a failed one is worth a look too. */
    while (plan_goes_on(&plan, progress->next) && stood && !interrupted) {
        stood = one_laboratory(&plan, id, progress);
        if (o->keep)
            break;
    }
    plan_free(&plan);
    if (interrupted && !o->random)
        return EXIT_INTERRUPTED;
    if (!stood && !interrupted)
        return EXIT_NO_LAB;
    if (o->keep)
        lab_print_hints(id, bin, o->json ? stderr : stdout);
    return summarize(o, progress);
}

static int remove_kept(const char *id)
{
    int lock;

    if (!ground_exists(id)) {
        fprintf(stderr, "ringfence-lab: there is no laboratory %s\n", id);
        return EXIT_NOT_OK;
    }
    lock = ground_take_over(id);
    if (lock < 0) {
        fprintf(stderr, "ringfence-lab: laboratory %s is in use: end it where it runs\n",
                id);
        return EXIT_NOT_OK;
    }
    ground_remove(id);
    close(lock);
    return 0;
}

/* They are beside the program that was built with them. */
static void load_scenarios(void)
{
    struct options here = {0};
    AUTO(auto_free) char *dir = NULL;
    char bin[256];

    lab_find_bin(&here, bin, sizeof bin);
    dir = text_new("%s/scenarios", bin);
    scenario_load(dir);
}

int main(int argc, char **argv)
{
    struct options options;
    const char *missing;
    int status;

    load_scenarios();
    status = options_read(&options, argc, argv);
    if (status >= 0)
        return status;
    if (options.verbs) {
        verbs_print(stdout);
        return 0;
    }
    if (options.list && options.random) {
        AUTO(auto_free) char *text = random_text(options.seed);

        fputs(text, stdout);
        return 0;
    }
    if (options.list) {
        for (unsigned i = 0; i < options.play_count; i++)
            puts(options.plays[i]->name);
        return 0;
    }
    if (options.judge != NULL)
        return rejudge(options.judge, stdout);
    missing = ground_missing();
    if (missing != NULL) {
        fprintf(stderr, "ringfence-lab: %s\n", missing);
        return EXIT_NO_LAB;
    }
    if (options.remove != NULL)
        return remove_kept(options.remove);
    catch_signals();
    ground_sweep();
    return play_all(&options);
}
