/* SPDX-License-Identifier: MIT */
/*
 * curl_codes.c - libcurl's codes as codes of ours, registered with their names, so that a chain
 * prints CURLE_COULDNT_CONNECT and libcurl's words for it.
 */
#include <tutti/error.h>

#include "curl_pump.h"

#if LIBCURL_VERSION_NUM < 0x075700
#error "ext/curl needs libcurl 7.87 (CURLOPT_QUICK_EXIT)"
#endif

/* All of libcurl 7.87; later ones keep their number and have no name here. */
#define CODES(x) \
	x(UNSUPPORTED_PROTOCOL) x(FAILED_INIT) x(URL_MALFORMAT) x(NOT_BUILT_IN) \
	x(COULDNT_RESOLVE_PROXY) x(COULDNT_RESOLVE_HOST) x(COULDNT_CONNECT) x(WEIRD_SERVER_REPLY) \
	x(REMOTE_ACCESS_DENIED) x(FTP_ACCEPT_FAILED) x(FTP_WEIRD_PASS_REPLY) x(FTP_ACCEPT_TIMEOUT) \
	x(FTP_WEIRD_PASV_REPLY) x(FTP_WEIRD_227_FORMAT) x(FTP_CANT_GET_HOST) x(HTTP2) \
	x(FTP_COULDNT_SET_TYPE) x(PARTIAL_FILE) x(FTP_COULDNT_RETR_FILE) x(QUOTE_ERROR) \
	x(HTTP_RETURNED_ERROR) x(WRITE_ERROR) x(UPLOAD_FAILED) x(READ_ERROR) x(OUT_OF_MEMORY) \
	x(OPERATION_TIMEDOUT) x(FTP_PORT_FAILED) x(FTP_COULDNT_USE_REST) x(RANGE_ERROR) \
	x(HTTP_POST_ERROR) x(SSL_CONNECT_ERROR) x(BAD_DOWNLOAD_RESUME) x(FILE_COULDNT_READ_FILE) \
	x(LDAP_CANNOT_BIND) x(LDAP_SEARCH_FAILED) x(FUNCTION_NOT_FOUND) x(ABORTED_BY_CALLBACK) \
	x(BAD_FUNCTION_ARGUMENT) x(INTERFACE_FAILED) x(TOO_MANY_REDIRECTS) x(UNKNOWN_OPTION) \
	x(SETOPT_OPTION_SYNTAX) x(GOT_NOTHING) x(SSL_ENGINE_NOTFOUND) x(SSL_ENGINE_SETFAILED) \
	x(SEND_ERROR) x(RECV_ERROR) x(SSL_CERTPROBLEM) x(SSL_CIPHER) x(PEER_FAILED_VERIFICATION) \
	x(BAD_CONTENT_ENCODING) x(FILESIZE_EXCEEDED) x(USE_SSL_FAILED) x(SEND_FAIL_REWIND) \
	x(SSL_ENGINE_INITFAILED) x(LOGIN_DENIED) x(TFTP_NOTFOUND) x(TFTP_PERM) x(REMOTE_DISK_FULL) \
	x(TFTP_ILLEGAL) x(TFTP_UNKNOWNID) x(REMOTE_FILE_EXISTS) x(TFTP_NOSUCHUSER) \
	x(SSL_CACERT_BADFILE) x(REMOTE_FILE_NOT_FOUND) x(SSH) x(SSL_SHUTDOWN_FAILED) x(AGAIN) \
	x(SSL_CRL_BADFILE) x(SSL_ISSUER_ERROR) x(FTP_PRET_FAILED) x(RTSP_CSEQ_ERROR) \
	x(RTSP_SESSION_ERROR) x(FTP_BAD_FILE_LIST) x(CHUNK_FAILED) x(NO_CONNECTION_AVAILABLE) \
	x(SSL_PINNEDPUBKEYNOTMATCH) x(SSL_INVALIDCERTSTATUS) x(HTTP2_STREAM) x(RECURSIVE_API_CALL) \
	x(AUTH_ERROR) x(HTTP3) x(QUIC_CONNECT_ERROR) x(PROXY) x(SSL_CLIENTCERT) x(UNRECOVERABLE_POLL)

#define CODE(name) { TT_CURL_CODE(CURLE_##name), NULL },
#define NAME(name) "CURLE_" #name,

static struct tt_error_code_ codes[] = { CODES(CODE) };
static const char *const names[] = { CODES(NAME) };

enum { N_CODES = sizeof(codes) / sizeof(codes[0]) };

/* TT_ERROR_CODES() wants its texts at compile time; these are libcurl's. */
__attribute__((constructor)) static void register_codes(void)
{
	static const struct tt_error_domain_ domain = { "curl", codes, names, N_CODES };

	for (int i = 0; i < N_CODES; i++)
		codes[i].text = curl_easy_strerror((CURLcode)(TT_CURL_CODE(0) - codes[i].code));
	tt_error_register_(&domain);
}

int tti_curl_fail(CURLcode code, const char *text)
{
	return tt_fail(TT_CURL_CODE(code), "%s", text);
}

int tti_curl_multi_fail(CURLMcode code)
{
	switch (code) {
	case CURLM_OUT_OF_MEMORY:
		return tt_fail(TT_ENOMEM, "libcurl");
	case CURLM_ADDED_ALREADY:
		return tt_fail(TT_EBUSY, "the easy handle is in use");
	case CURLM_RECURSIVE_API_CALL:
		return tt_fail(TT_EWRONGCTX, "called from a libcurl callback");
	default:
		return tt_fail(TT_EINVAL, "libcurl: %s", curl_multi_strerror(code));
	}
}
