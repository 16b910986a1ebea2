/* gRPC asks for what a listener is served with when it begins to listen and at each handshake.
 *
 *      rpc_tls_source_renew() --> next --fetch(), at a handshake--> gRPC's, until the next one is fetched
 *
 * gRPC 1.51 takes a lock for fetching, but none for making a handshake of what it has. One listening socket's connections are taken one after the
 * other, so that nothing is replaced while it is used, unless the address is a name for several. */
#include <assert.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/internal.h"
#include "rpc/tls.h"

struct rpc_tls_source {
    bool wants_clients; /* their certificates */
    pthread_mutex_t mutex;
    grpc_ssl_server_certificate_config *next; /* guarded; NULL: gRPC has the newest */
};

/* What is fetched has to name authorities (gRPC asserts it), also where clients are asked for nothing that those could have signed. */
static grpc_ssl_server_certificate_config *certificate_config(const struct rpc_tls *tls) {
    grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key, .cert_chain = tls->certificate};

    return grpc_ssl_server_certificate_config_create(tls->client_ca ? tls->client_ca : tls->certificate, &pair, 1);
}

struct rpc_tls_source *rpc_tls_source_create(const struct rpc_tls *tls) {
    struct rpc_tls_source *source = xcalloc(1, sizeof(*source));

    source->wants_clients = tls->client_ca != NULL;
    pthread_mutex_init(&source->mutex, NULL);
    source->next = certificate_config(tls);
    return source;
}

void rpc_tls_source_destroy(struct rpc_tls_source *source) {
    if (!source)
        return;
    if (source->next)
        grpc_ssl_server_certificate_config_destroy(source->next);
    pthread_mutex_destroy(&source->mutex);
    free(source);
}

/* A grpc_ssl_server_certificate_config_callback. */
static grpc_ssl_certificate_config_reload_status fetch(void *user, grpc_ssl_server_certificate_config **ret) {
    struct rpc_tls_source *source = user;

    pthread_mutex_lock(&source->mutex);
    *ret = source->next;
    source->next = NULL;
    pthread_mutex_unlock(&source->mutex);
    return *ret ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
}

grpc_server_credentials *rpc_tls_source_credentials(struct rpc_tls_source *source) {
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            source->wants_clients ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                  : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
            fetch, source));
}

void rpc_tls_source_renew(struct rpc_tls_source *source, const struct rpc_tls *tls) {
    grpc_ssl_server_certificate_config *next = certificate_config(tls), *unused;

    assert(source->wants_clients == (tls->client_ca != NULL));
    pthread_mutex_lock(&source->mutex);
    unused = source->next;
    source->next = next;
    pthread_mutex_unlock(&source->mutex);
    if (unused)
        grpc_ssl_server_certificate_config_destroy(unused);
}

bool rpc_stream_is_tls(const struct rpc_stream *stream) {
    grpc_auth_context *context = stream->call ? grpc_call_auth_context(stream->call) : NULL;
    const grpc_auth_property *property = NULL;
    grpc_auth_property_iterator properties;

    if (context) {
        properties = grpc_auth_context_find_properties_by_name(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
        property = grpc_auth_property_iterator_next(&properties);
    }
    property = property && strcmp(property->value, GRPC_SSL_TRANSPORT_SECURITY_TYPE) == 0 ? property : NULL;
    grpc_auth_context_release(context);
    return property != NULL;
}
