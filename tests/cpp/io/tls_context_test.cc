#include "io/tls_context.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "base/error.h"
#include "tls_certificates.h"

using namespace naiad;
using namespace naiad::test;

namespace {

// What is said of files that are of no use.
std::string refusal(const TlsFiles& files) {
  try {
    const TlsContext context(files, TlsProtocol::kHttp1);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidArgument);
    return error.what();
  }
  return "(accepted)";
}

bool has(const std::string& text, std::string_view words) {
  return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("tls files: what is wrong is said, with the file") {
  const TlsTestFiles good(true);
  TlsFiles files = good.files;
  CHECK(refusal(files) == "(accepted)");
  SUBCASE("not there") {
    for (std::string* file : {&files.certificate_chain, &files.key, &files.client_roots}) {
      const std::string before = std::exchange(*file, good.folder.path("none.pem"));
      const std::string said = refusal(files);
      CHECK(has(said, *file));
      CHECK(has(said, "No such file"));
      *file = before;
    }
  }
  SUBCASE("a directory") {
    files.key = good.folder.path("");
    CHECK(has(refusal(files), "not a regular file"));
  }
  SUBCASE("a FIFO, for which nobody waits") {
    files.key = good.folder.path("fifo");
    REQUIRE(mkfifo(files.key.c_str(), 0600) == 0);
    CHECK(has(refusal(files), "not a regular file"));
  }
  SUBCASE("too large") {
    files.certificate_chain = good.folder.write("large", std::string(2 << 20, 'x'));
    CHECK(has(refusal(files), "larger than 1 MiB"));
  }
  SUBCASE("empty, or something else") {
    for (const char* text : {"", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}) {
      files = good.files;
      files.certificate_chain = good.folder.write("other", text);
      CHECK(has(refusal(files), "no certificate in PEM is in it"));
      files = good.files;
      files.client_roots = files.key;
      files.key = good.folder.path("other");
      CHECK(has(refusal(files), "no private key in PEM is in it"));
      files.key = good.files.key;
      CHECK(has(refusal(files), "no certificate in PEM is in it"));
    }
  }
  SUBCASE("cut off") {
    const std::string text = certificate_pem(good.root);
    files.certificate_chain = good.folder.write("cut", text.substr(0, text.size() / 2));
    CHECK(has(refusal(files), "not a certificate in PEM: "));
    const std::string two = text + text.substr(0, text.size() / 2);
    files.certificate_chain = good.folder.write("cut", two);
    CHECK(has(refusal(files), "not a certificate in PEM: "));
  }
  SUBCASE("the key of another certificate, of the same kind and of another") {
    files.key = good.folder.write("other.key", key_pem(good.root));
    CHECK(has(refusal(files), "does not match the certificate"));
    files.key = good.folder.write("other.key", key_pem(make_identity("rsa", {.rsa_bits = 2048})));
    CHECK(has(refusal(files), "does not match the certificate"));
  }
  SUBCASE("an encrypted key, for which nobody is asked") {
    files.key = good.folder.write("encrypted.key", key_pem(good.root, "secret"));
    CHECK(has(refusal(files), "encrypted"));
  }
  SUBCASE("a key that is too short") {
    const TlsIdentity weak = make_identity("weak", {.rsa_bits = 512});
    files.certificate_chain = good.folder.write("weak.pem", certificate_pem(weak));
    files.key = good.folder.write("weak.key", key_pem(weak));
    CHECK(has(refusal(files), "key too small"));
  }
}

TEST_CASE("tls files: no error shows what a key holds") {
  const TlsTestFiles good;
  TlsFiles files = good.files;
  const std::string key = key_pem(good.root);
  for (std::size_t size = 0; size <= key.size(); size += 7) {
    files.key = good.folder.write("some.key", key.substr(0, size));
    const std::string said = refusal(files);
    for (std::size_t at = 28; at + 8 < key.size(); at += 8) REQUIRE_FALSE(has(said, key.substr(at, 8)));
  }
}

TEST_CASE("tls files: a certificate that has expired is used, and other chains than one") {
  TlsTestFiles good;
  const TlsIdentity old = make_identity("old", {.valid_from_s = -7200, .valid_to_s = -3600});
  good.folder.write("server.pem", certificate_pem(old) + "\ntext between\n" + certificate_pem(good.root));
  good.folder.write("server.key", "text before\n" + key_pem(old));
  CHECK(refusal(good.files) == "(accepted)");
}

TEST_CASE("credentials: a reload takes what has changed, and keeps the old where the new is of no use") {
  TlsTestFiles good(true);
  TlsCredentials credentials(good.files, TlsProtocol::kGrpc);
  const auto first = credentials.context();
  CHECK_FALSE(credentials.reload());
  CHECK(credentials.context() == first);
  good.replace("second");
  CHECK(credentials.reload());
  const auto second = credentials.context();
  CHECK(second != first);
  CHECK(second->protocol() == TlsProtocol::kGrpc);
  CHECK_FALSE(credentials.reload());
  // One of two files is written: the other follows.
  const TlsIdentity third = make_identity("third", {.issuer = &good.root});
  good.folder.write("server.pem", certificate_pem(third));
  CHECK_THROWS_AS(static_cast<void>(credentials.reload()), Error);
  CHECK(credentials.context() == second);
  good.folder.write("server.key", key_pem(third));
  CHECK(credentials.reload());
  // The roots count as well.
  good.folder.write("roots.pem", certificate_pem(third));
  CHECK(credentials.reload());
}
