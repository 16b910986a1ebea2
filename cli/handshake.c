#include "cli/handshake.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/tls_context.h"

enum { PATIENCE_S = 5, POLL_MS = 100, MAX_NAMES = 8 };

/* What came of it. */
struct handshake {
    const char *endpoint;
    const struct credentials *credentials;
    const char *server_name; /* whom the certificate is to name; borrowed */
    SSL *ssl;
    time_t deadline;
    unsigned long error;        /* OpenSSL's, that ended it */
    bool is_late;               /* the deadline has passed: then nothing is known */
    bool is_certificate_wanted; /* the server has asked for ours */
    bool is_served;             /* the server has gone on to speak HTTP/2 */
};

/* ------------------------------------------------------------------ making it */

/* Whether to try the last operation on `bio` again, once something has changed. */
static bool await(struct handshake *handshake, BIO *bio) {
    if (!BIO_should_retry(bio))
        return false;
    handshake->is_late = BIO_wait(bio, handshake->deadline, POLL_MS) <= 0;
    return !handshake->is_late;
}

static int note_certificate_wanted(SSL *ssl, void *user) {
    struct handshake *handshake = user;

    (void)ssl;
    handshake->is_certificate_wanted = true;
    return 1;
}

static void expect_name(SSL *ssl, const char *name) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1)
        return;
    SSL_set1_host(ssl, name);
    SSL_set_tlsext_host_name(ssl, name);
}

/* Whether there is a connection. */
static bool dial(struct handshake *handshake, BIO *socket) {
    BIO_set_nbio(socket, 1);
    while (BIO_do_connect(socket) <= 0)
        if (!await(handshake, socket))
            return false;
    return true;
}

/* Whether only the server's next words tell: with TLS 1.3 a client learns at its first read whether its certificate is taken. */
static bool is_open_question(const struct handshake *handshake) {
    return handshake->credentials->has_tls && SSL_get_verify_result(handshake->ssl) == X509_V_OK;
}

static void shake_hands(struct handshake *handshake, BIO *bio) {
    char first;

    while (BIO_do_handshake(bio) != 1)
        if (!await(handshake, bio))
            return;
    while (is_open_question(handshake) && !handshake->is_served)
        if (BIO_read(bio, &first, 1) == 1)
            handshake->is_served = true;
        else if (!await(handshake, bio))
            return;
}

/* ------------------------------------------------------------------ words for certificates */

/* "CN=ca,O=company" */
static void add_name(struct buf *out, const X509_NAME *name) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long size;

    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    size = BIO_get_mem_data(bio, &text);
    buf_printf(out, "\"%.*s\"", (int)size, text);
    BIO_free(bio);
}

/* "DNS:localhost, IP Address:127.0.0.1"; without such names the subject, whose common name counts then. */
static void add_subject_names(struct buf *out, const X509 *certificate) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = MIN(sk_GENERAL_NAME_num(names), MAX_NAMES);

    for (int i = 0; i < count; i++) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        long size;

        GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(names, i));
        size = BIO_get_mem_data(bio, &text);
        buf_printf(out, "%s%.*s", i ? ", " : "", (int)size, text);
        BIO_free(bio);
    }
    if (count <= 0)
        add_name(out, X509_get_subject_name(certificate));
    GENERAL_NAMES_free(names);
}

/* The authorities one of which the server wants our certificate from, or nothing. */
static void add_wanted_authorities(struct buf *out, const SSL *ssl) {
    const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(ssl);
    int count = MIN(sk_X509_NAME_num(names), MAX_NAMES);

    for (int i = 0; i < count; i++) {
        buf_printf(out, i ? ", " : " signed by ");
        add_name(out, sk_X509_NAME_value(names, i));
    }
}

/* ------------------------------------------------------------------ what it means */

static const char *trusted(const struct credentials *credentials) {
    return credentials->ca_path ? credentials->ca_path : "the list of the system's authorities; --tls-ca names others";
}

static void add_distrust(const struct handshake *handshake, struct buf *out) {
    X509 *certificate = SSL_get0_peer_certificate(handshake->ssl);
    long error = SSL_get_verify_result(handshake->ssl);

    buf_printf(out, "the certificate of the server at %s ", handshake->endpoint);
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        buf_printf(out, "is for ");
        add_subject_names(out, certificate);
        buf_printf(out, ", not for %s: dial it by its name, or say that with --tls-server-name",
                   handshake->server_name);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        buf_printf(out, "is signed by ");
        add_name(out, X509_get_issuer_name(certificate));
        buf_printf(out, ", which is not in %s", trusted(handshake->credentials));
        break;
    default:
        buf_printf(out, "is not valid: %s", X509_verify_cert_error_string(error));
    }
}

static void add_refusal(const struct handshake *handshake, struct buf *out) {
    if (handshake->credentials->certificate)
        buf_printf(out, "the server at %s does not take the certificate in %s; it wants one", handshake->endpoint,
                   handshake->credentials->certificate_path);
    else
        buf_printf(out, "the server at %s wants a certificate: --tls-cert and --tls-key show it one",
                   handshake->endpoint);
    add_wanted_authorities(out, handshake->ssl);
}

enum diagnosis {
    NOTHING_KNOWN,
    SERVER_HAS_TLS,
    SERVER_IS_NOT_TRUSTED,
    CLIENT_IS_NOT_TRUSTED,
    TLS_IS_REFUSED,
    SERVER_HAS_NO_TLS
};

/* Whether it is one that the server has sent. */
static bool is_alert(unsigned long error) {
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET;
}

static enum diagnosis diagnose(const struct handshake *handshake) {
    bool has_tls = SSL_get0_peer_certificate(handshake->ssl) != NULL;

    if (!handshake->credentials->has_tls)
        return has_tls ? SERVER_HAS_TLS : NOTHING_KNOWN;
    if (has_tls && SSL_get_verify_result(handshake->ssl) != X509_V_OK)
        return SERVER_IS_NOT_TRUSTED;
    if (handshake->is_late || handshake->is_served)
        return NOTHING_KNOWN;
    if (handshake->is_certificate_wanted)
        return CLIENT_IS_NOT_TRUSTED;
    if (has_tls)
        return NOTHING_KNOWN;
    return is_alert(handshake->error) ? TLS_IS_REFUSED : SERVER_HAS_NO_TLS;
}

/* Whether nothing came from the server, rather than nonsense. */
static bool is_end(unsigned long error) {
    return ERR_GET_LIB(error) != ERR_LIB_SSL || ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

static void add_explanation(const struct handshake *handshake, enum diagnosis diagnosis, struct buf *out) {
    switch (diagnosis) {
    case NOTHING_KNOWN:
        break;
    case SERVER_HAS_TLS:
        buf_printf(out,
                   "the server at %s speaks TLS: --tls-ca FILE says who may have signed its certificate, --tls that "
                   "the system's authorities may",
                   handshake->endpoint);
        break;
    case SERVER_IS_NOT_TRUSTED:
        add_distrust(handshake, out);
        break;
    case CLIENT_IS_NOT_TRUSTED:
        add_refusal(handshake, out);
        break;
    case TLS_IS_REFUSED:
        buf_printf(out, "the server at %s refuses the TLS handshake: %s", handshake->endpoint,
                   ERR_reason_error_string(handshake->error));
        break;
    case SERVER_HAS_NO_TLS:
        buf_printf(out, "the server at %s %s; leave out --tls and the like (TRESTLE_TLS...)", handshake->endpoint,
                   is_end(handshake->error) ? "ends the connection where TLS begins, so it likely does not speak TLS"
                                            : "does not speak TLS");
        break;
    }
}

static bool tell(const struct handshake *handshake, struct status *st) {
    enum diagnosis diagnosis = diagnose(handshake);
    struct buf text = {0};

    add_explanation(handshake, diagnosis, &text);
    if (diagnosis != NOTHING_KNOWN)
        status_set(st, STATUS_FAILED_PRECONDITION, "%.*s", (int)text.size, (const char *)buf_data(&text));
    buf_clear(&text);
    return diagnosis != NOTHING_KNOWN;
}

/* Takes the context, and the socket, which is connected. The handshake goes on whatever the server's certificate is, so that the rest of it is seen as
 * well. OpenSSL writes to a socket as to a pipe. */
static bool examine(struct handshake *handshake, SSL_CTX *context, BIO *socket, struct status *st) {
    void (*on_pipe)(int) = signal(SIGPIPE, SIG_IGN);
    BIO *bio;
    bool is_known;

    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_cb(context, note_certificate_wanted, handshake);
    bio = BIO_push(BIO_new_ssl(context, 1), socket);
    BIO_get_ssl(bio, &handshake->ssl);
    expect_name(handshake->ssl, handshake->server_name);
    ERR_clear_error();
    shake_hands(handshake, bio);
    handshake->error = ERR_peek_error();
    is_known = tell(handshake, st);
    BIO_free_all(bio);
    SSL_CTX_free(context);
    signal(SIGPIPE, on_pipe);
    return is_known;
}

bool handshake_explain(const char *endpoint, const struct credentials *credentials, struct status *st) {
    struct handshake handshake = {
        .endpoint = endpoint,
        .credentials = credentials,
        .deadline = (time_t)(wall_clock_ms() / 1000) + PATIENCE_S,
    };
    BIO *socket = NULL;
    SSL_CTX *context;

    if (strncmp(endpoint, "unix:", strlen("unix:")) != 0)
        socket = BIO_new_connect(endpoint);
    if (!socket || !dial(&handshake, socket) || tls_context_create(credentials, &context, NULL) < 0) {
        BIO_free_all(socket);
        return false;
    }
    handshake.server_name = credentials->server_name ? credentials->server_name : BIO_get_conn_hostname(socket);
    return examine(&handshake, context, socket, st);
}
