#include "controller/cli/https.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "controller/base/text.h"

static void learn_cluster(const char *cert, struct https_peer *peer)
{
    FILE *file = fopen(cert, "re");
    X509 *own = file != NULL ? PEM_read_X509(file, NULL, NULL, "") : NULL;
    struct identity id;

    if (own != NULL && identity_of_cert(&id, own, NULL) == 0)
        memcpy(peer->cluster, id.cluster, sizeof peer->cluster);
    X509_free(own);
    if (file != NULL)
        (void)fclose(file);
    ERR_clear_error();
}

/* The host's name proves nothing here: the CA signs for agents and people as well, and a
 * controller's certificate says what it is. */
static bool is_controller(X509 *cert, struct https_peer *peer)
{
    struct identity id;
    struct err err = {0};

    if (identity_of_cert(&id, cert, &err) != 0)
        text_set(peer->why, sizeof peer->why, "no controller: %s", err.text);
    else if (id.role != IDENTITY_CONTROLLER)
        (void)snprintf(peer->why, sizeof peer->why,
                       "no controller: it shows the certificate of %s %s",
                       identity_role_name(id.role), id.name);
    else if (peer->cluster[0] != '\0' && strcmp(id.cluster, peer->cluster) != 0)
        (void)snprintf(peer->why, sizeof peer->why,
                       "it is controller %s of cluster %s, and our certificate is of "
                       "cluster %s",
                       id.name, id.cluster, peer->cluster);
    return peer->why[0] == '\0';
}

static int verify(X509_STORE_CTX *ctx, void *arg)
{
    struct https_peer *peer = arg;

    if (X509_verify_cert(ctx) != 1) {
        (void)snprintf(peer->why, sizeof peer->why,
                       "its certificate is not accepted under --ca: %s",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
        return 0;
    }
    if (is_controller(X509_STORE_CTX_get0_cert(ctx), peer))
        return 1;
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static CURLcode on_ctx(CURL *curl, void *ctx, void *arg)
{
    (void)curl;
    SSL_CTX_set_cert_verify_callback(ctx, verify, arg);
    return CURLE_OK;
}

void https_set_up(CURL *curl, const struct remote *r, struct https_peer *peer)
{
    learn_cluster(r->cert, peer);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(curl, CURLOPT_CAINFO, r->ca);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    if (r->cert[0] != '\0') {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, r->cert);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, r->key);
    }
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, on_ctx);
    curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, peer);
}

bool https_is_refusal(const char *said)
{
    static const char *const alerts[] = {"alert certificate", "alert unknown ca",
                                         "alert bad certificate"};

    for (size_t i = 0; i < ARRAY_LEN(alerts); i++)
        if (strstr(said, alerts[i]) != NULL)
            return true;
    return false;
}
