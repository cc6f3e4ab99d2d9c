/* A bucket under object lock, against a strict one (fake_s3.py): what is signed and how,
 * what is refused, and what comes of answers that are late, lost or angry. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "controller/base/clock.h"
#include "controller/ship/place.h"

static char dir[] = "/tmp/rf-s3-XXXXXX";
static struct ship_place place;
static int fake;

static int shell(const char *format, ...) PRINTF_LIKE(1, 2);

static int shell(const char *format, ...)
{
    char command[600], line[700];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(line, sizeof line, "cd %s && %s", dir, command);
    return system(line);
}

static void start_fake(void)
{
    int out[2];
    char text[16] = "";

    assert_int_equal(pipe(out), 0);
    fake = fork();
    assert_true(fake >= 0);
    if (fake == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        execlp(PYTHON, PYTHON, FAKE_S3, dir, "eu-test-1", "audit", "AKTEST",
               "s3cr3t/+=", "3", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    assert_true(read(out[0], text, sizeof text - 1) > 0);
    close(out[0]);
    snprintf(place.url, sizeof place.url, "http://127.0.0.1:%d", atoi(text));
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/rf-s3-XXXXXX");
    assert_non_null(mkdtemp(dir));
    place = (struct ship_place){.kind = SHIP_S3,
                                .cluster = "lab",
                                .bucket = "audit",
                                .region = "eu-test-1",
                                .prefix = "ring/fence/",
                                .retain_ms = UINT64_C(400) * 86400 * 1000,
                                .timeout_ms = 1500};
    assert_int_equal(
        shell("umask 077 && echo AKTEST > access && echo 's3cr3t/+=' > secret"), 0);
    snprintf(place.access_key, sizeof place.access_key, "%s/access", dir);
    snprintf(place.secret_key, sizeof place.secret_key, "%s/secret", dir);
    start_fake();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kill(fake, SIGKILL);
    waitpid(fake, NULL, 0);
    return shell("rm -rf %s", dir);
}

static int put(uint64_t from, uint64_t to, const char *text, struct err *err)
{
    return ship_put(&place, (struct ship_range){from, to}, (const uint8_t *)text,
                    strlen(text), NULL, err);
}

static void good(int status, const struct err *err)
{
    if (status != 0)
        fail_msg("%d: %s", status, err->text);
}

static uint64_t upto(void)
{
    struct ship_mark mark;
    struct err err = {0};

    good(ship_find(&place, 0, NULL, &mark, &err), &err);
    return mark.upto;
}

static void says(const struct err *err, const char *part)
{
    if (strstr(err->text, part) == NULL)
        fail_msg("'%s' is not in: %s", part, err->text);
}

/* Signed as the bucket computes it, several pages of them, with both modes of the lock. */
static void segments_are_put_and_found(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(upto(), 0);
    for (uint64_t i = 0; i < 8; i++) {
        place.compliance = i % 2 != 0;
        good(put(10 * i + 1, 10 * i + 10, "a segment\n", &err), &err);
    }
    assert_int_equal(upto(), 80);
    assert_int_equal(shell("grep -c ' 200$' log | grep -qx 12"), 0); /* 1 + 8 + 3 pages */
    assert_int_equal(shell("test \"$(cat objects/ring%%fence%%lab-000000000071-"
                           "000000000080.jsonl)\" = 'a segment'"),
                     0);
    /* Of others, and of no prefix. */
    place.prefix[0] = '\0';
    assert_int_equal(upto(), 0);
    good(put(1, 5, "below nothing", &err), &err);
    assert_int_equal(upto(), 5);
    snprintf(place.cluster, sizeof place.cluster, "la");
    assert_int_equal(upto(), 0);
}

/* A megabyte and more, for which libcurl would wait to be told to go on. */
static void a_large_segment_is_put(void **state)
{
    static char large[3 << 20];
    struct err err = {0};

    (void)state;
    memset(large, 'x', sizeof large - 1);
    place.timeout_ms = 20000;
    good(put(1, 1000, large, &err), &err);
    assert_int_equal(shell("test $(stat -c %%s objects/*) = %zu", sizeof large - 1), 0);
}

/* What is locked keeps its content, whoever comes second. */
static void a_second_put_is_refused(void **state)
{
    struct err err = {0};

    (void)state;
    good(put(1, 10, "first", &err), &err);
    assert_int_equal(put(1, 10, "another", &err), ERR_CONFLICT);
    says(&err, "is there already");
    assert_int_equal(shell("test \"$(cat objects/*)\" = first"), 0);
    assert_int_equal(upto(), 10);
}

static void what_the_bucket_says_is_told(void **state)
{
    static const struct {
        const char *fault, *says;
        int code;
    } rows[] = {
        {"403", "status 403 AccessDenied (Access Denied): the key needs", ERR_REFUSED},
        {"500", "status 500 InternalError", ERR_BUSY},
        {"503", "SlowDown (Please reduce your request rate.): it is asked too much",
         ERR_BUSY},
        {"close", "look at the network", ERR_IO},
        {"hang", "look at the network", ERR_TIMEOUT},
    };
    struct ship_mark mark;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};

        assert_int_equal(shell("echo %s > faults", rows[i].fault), 0);
        assert_int_equal(put(1, 10, "first", &err), rows[i].code);
        says(&err, rows[i].says);
        assert_int_equal(shell("echo %s > faults", rows[i].fault), 0);
        assert_int_equal(ship_find(&place, 0, NULL, &mark, &err), rows[i].code);
        assert_int_equal(shell("test -z \"$(ls objects)\""), 0);
    }
}

/* The answer was lost, the object is there: the next look finds it. */
static void a_lost_answer_loses_nothing(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(shell("echo lost > faults"), 0);
    assert_int_equal(put(1, 10, "first", &err), ERR_IO);
    assert_int_equal(upto(), 10);
    good(put(11, 20, "second", &err), &err);
}

static void wrong_settings_are_told(void **state)
{
    struct err err = {0};
    struct ship_mark mark;

    (void)state;
    assert_int_equal(shell("echo other > secret"), 0);
    assert_int_equal(put(1, 10, "first", &err), ERR_REFUSED);
    says(&err, "SignatureDoesNotMatch (the signature is another one): the secret key is");
    assert_int_equal(shell("echo NOBODY > access"), 0);
    assert_int_equal(ship_find(&place, 0, NULL, &mark, &err), ERR_REFUSED);
    says(&err, "the access key is not known there");
    assert_int_equal(shell("echo AKTEST > access && echo 's3cr3t/+=' > secret"), 0);
    strcpy(place.region, "us-test-1");
    assert_int_equal(put(1, 10, "first", &err), ERR_REFUSED);
    says(&err, "AuthorizationHeaderMalformed");
    strcpy(place.region, "eu-test-1");
    strcpy(place.bucket, "none");
    assert_int_equal(put(1, 10, "first", &err), ERR_REFUSED);
    says(&err, "NoSuchBucket");
    strcpy(place.bucket, "audit");
    place.retain_ms = 0; /* this bucket wants to be told */
    assert_int_equal(put(1, 10, "first", &err), ERR_REFUSED);
    says(&err, "has the bucket object lock?");
}

/* Read by others it is no secret, and nothing is sent. */
static void a_weak_secret_is_not_used(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(shell("chmod 644 secret"), 0);
    assert_int_equal(put(1, 10, "first", &err), ERR_REFUSED);
    says(&err, "chmod 0600");
    assert_int_equal(shell("test ! -e log"), 0);
    assert_int_equal(shell("chmod 600 secret && rm access"), 0);
    assert_int_equal(put(1, 10, "first", &err), ERR_NOTFOUND);
}

/* A daemon that ends does not wait for a bucket. */
static void it_is_cancelled(void **state)
{
    const struct mono begun = mono_now();
    atomic_bool cancel = true;
    struct ship_mark mark;
    struct err err = {0};

    (void)state;
    place.timeout_ms = 60000;
    assert_int_equal(shell("echo hang > faults"), 0);
    assert_int_equal(ship_find(&place, 0, &cancel, &mark, &err), ERR_IO);
    assert_true(mono_since_ms(begun, mono_now()) < 4000);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(segments_are_put_and_found),  CLAIM(a_large_segment_is_put),
        CLAIM(a_second_put_is_refused),     CLAIM(what_the_bucket_says_is_told),
        CLAIM(a_lost_answer_loses_nothing), CLAIM(wrong_settings_are_told),
        CLAIM(a_weak_secret_is_not_used),   CLAIM(it_is_cancelled),
    };

    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
