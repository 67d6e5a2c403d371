#include "http1_corpus.h"

using namespace std::string_literals;

namespace naiad {
namespace {

const std::string kNext = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

// Request lines; the rest of the message is harmless.
void add_request_lines(std::vector<Http1Case>& cases) {
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"GET / HTTP/1.1", "GET /; "},
      {"GET /a/b?c=d&e HTTP/1.1", "GET /a/b?c=d&e; "},
      {"GET /a{b}|c HTTP/1.1", "GET /a{b}|c; "},
      {"GET //double HTTP/1.1", "GET //double; "},
      {"GET /%zz%00 HTTP/1.1", "GET /%zz%00; "},
      {"get / HTTP/1.1", "get /; "},
      {"BREW / HTTP/1.1", "BREW /; "},
      {"GET  / HTTP/1.1", "400"},
      {"GET /  HTTP/1.1", "400"},
      {"GET /a b HTTP/1.1", "400"},
      {"GET /a#b HTTP/1.1", "400"},
      {"GET /a\x7F HTTP/1.1", "400"},
      {"GET /\xC3\xA4 HTTP/1.1", "400"},
      {"GET /~ HTTP/1.1", "GET /~; "},
      {" GET / HTTP/1.1", "400"},
      {"GET / HTTP/1.1 ", "400"},
      {"GET\t/ HTTP/1.1", "400"},
      {"GET /\tHTTP/1.1", "400"},
      {"GET /\v HTTP/1.1", "400"},
      {"GET /a\tb HTTP/1.1", "400"},
      {"G@T / HTTP/1.1", "400"},
      {"GET: / HTTP/1.1", "400"},
      {"\"GET\" / HTTP/1.1", "400"},
      {"GET", "400"},
      {"GET /", "400"},  // HTTP/0.9
      {"GET / ", "400"},
      {"GET HTTP/1.1", "400"},
      {"/ HTTP/1.1", "400"},
      {"GET / http/1.1", "400"},
      {"GET / HTTP/1.1.1", "400"},
      {"GET / HTTP/11", "400"},
      {"GET / HTTP/1,1", "400"},
      {"GET / HTTP/01.1", "400"},
      {"GET / HTTP/1.10", "400"},
      {"GET / HTTP/1.", "400"},
      {"GET / HTTP 1.1", "400"},
      {"GET / XTTP/1.1", "400"},
      {"GET / HTTP/x.1", "400"},
      {"GET / HTTP/0.9", "505"},
      {"GET / HTTP/1.2", "505"},
      {"GET / HTTP/1.9", "505"},
      {"GET / HTTP/2.0", "505"},
      {"GET / HTTP/3.0", "505"},
      {"GET a HTTP/1.1", "400"},
      {"GET a/b HTTP/1.1", "400"},
      {"GET ?a HTTP/1.1", "400"},
      {"GET /a#b HTTP/1.1", "400"},
      {"GET /\xC3\xA4 HTTP/1.1", "400"},
      {"GET /\x7F HTTP/1.1", "400"},
      {"GET /\x01 HTTP/1.1", "400"},
      {"GET /"s + '\0' + " HTTP/1.1", "400"},
      {"GET / HTTP/1.1"s + '\0', "400"},
      {"GET /\r HTTP/1.1", "400"},
      {"GET /\n HTTP/1.1", "400"},
      {"GET http://a/b?c HTTP/1.1", "GET /b?c; "},
      {"GET HTTP://A/b HTTP/1.1", "GET /b; "},
      {"GET https://a HTTP/1.1", "GET /; "},
      {"GET http://other/b HTTP/1.1", "400"},
      {"GET http://a:80/b HTTP/1.1", "400"},
      {"GET http://user@a/b HTTP/1.1", "400"},
      {"GET http://a?c HTTP/1.1", "400"},
      {"GET http:///b HTTP/1.1", "400"},
      {"GET http:/b HTTP/1.1", "400"},
      {"GET ftp://a/b HTTP/1.1", "400"},
      {"GET http:a HTTP/1.1", "400"},
      {"OPTIONS * HTTP/1.1", "OPTIONS *; "},
      {"GET * HTTP/1.1", "400"},
      {"OPTIONS ** HTTP/1.1", "400"},
      {"CONNECT a:443 HTTP/1.1", "501"},
      {"CONNECT / HTTP/1.1", "501"},
      {"GET a:443 HTTP/1.1", "400"},
  };
  for (const auto& [line, expected] : lines) {
    const bool is_fine = !expected.starts_with('4') && !expected.starts_with('5');
    cases.push_back({"request line: " + line, line + "\r\nHost: a\r\n\r\n" + kNext,
                     is_fine ? expected + "GET /next; " : expected});
  }
}

// Field lines of a POST to /, which has a Host; no body follows but the next request.
void add_fields(std::vector<Http1Case>& cases) {
  const std::vector<std::pair<std::string, std::string>> fields = {
      {"X: y\r\n", "POST /; "},
      {"X:y\r\n", "POST /; "},
      {"X:\r\n", "POST /; "},
      {"X: \t \r\n", "POST /; "},
      {"X: a\tb\xC3\xA4\r\n", "POST /; "},
      {"X_-.~!: y\r\n", "POST /; "},
      {"X : y\r\n", "400"},
      {"X\t: y\r\n", "400"},
      {" X: y\r\n", "400"},
      {"\tX: y\r\n", "400"},
      {"X: y\r\n folded\r\n", "400"},
      {"X: y\r\n\tfolded\r\n", "400"},
      {"X: y\r\n \r\n", "400"},
      {"X\r\n", "400"},
      {": y\r\n", "400"},
      {"X y: z\r\n", "400"},
      {"(X): y\r\n", "400"},
      {"X\xC3\xA4: y\r\n", "400"},
      {"X: y\n", "400"},
      {"X: y\nZ: y\r\n", "400"},
      {"X: y\rZ: y\r\n", "400"},
      {"X: y\r\r\n", "400"},
      {"X\r: y\r\n", "400"},
      {"X: a"s + '\0' + "b\r\n", "400"},
      {"X"s + '\0' + ": b\r\n", "400"},
      {"X: \x1B[31m\r\n", "400"},
      {"X: \x7F\r\n", "400"},
      {"Host: a\r\n", "400"},
      {"hOST: b\r\n", "400"},
      {"Content-Length: 0\r\n", "POST / ''; "},
      {"Content-Length: 000\r\n", "POST / ''; "},
      {"Content-Length: 0\r\nContent-Length: 0\r\n", "400"},
      {"Content-Length: 0\r\ncontent-length: 5\r\n", "400"},
      {"Content-Length: 0, 0\r\n", "400"},
      {"Content-Length: 0,\r\n", "400"},
      {"Content-Length:\r\n", "400"},
      {"Content-Length: +0\r\n", "400"},
      {"Content-Length: -0\r\n", "400"},
      {"Content-Length: -1\r\n", "400"},
      {"Content-Length: 0x0\r\n", "400"},
      {"Content-Length: 0.0\r\n", "400"},
      {"Content-Length: 1e1\r\n", "400"},
      {"Content-Length: 0 0\r\n", "400"},
      {"Content-Length: \"0\"\r\n", "400"},
      {"Content-Length: a\r\n", "400"},
      {"Content-Length: 18446744073709551616\r\n", "400"},
      {"Content-Length: 99999999999999999999999\r\n", "400"},
      {"Content-Length : 0\r\n", "400"},
      {"Content-Length\t: 0\r\n", "400"},
      {"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "400"},
      {"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "400"},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "400"},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "400"},
      {"Transfer-Encoding: chunked, chunked\r\n", "400"},
      {"Transfer-Encoding: chunked, identity\r\n", "400"},
      {"Transfer-Encoding: identity\r\n", "400"},
      {"Transfer-Encoding: gzip\r\n", "400"},
      {"Transfer-Encoding: xchunked\r\n", "400"},
      {"Transfer-Encoding: chunkedx\r\n", "400"},
      {"Transfer-Encoding: chunked;q=1\r\n", "400"},
      {"Transfer-Encoding: \"chunked\"\r\n", "400"},
      {"Transfer-Encoding: chunked,\r\n", "501"},
      {"Transfer-Encoding: ,chunked\r\n", "501"},
      {"Transfer-Encoding: gzip, chunked\r\n", "501"},
      {"Transfer-Encoding:\r\n", "400"},
      {"Transfer-Encoding: \x0B"
       "chunked\r\n",
       "400"},
      {"Transfer-Encoding : chunked\r\n", "400"},
      {"Transfer_Encoding: chunked\r\n", "POST /; "},
      {"Expect: 100-continue\r\n", "POST /; "},
      {"Expect: 100-Continue\r\nContent-Length: 0\r\n", "POST / ''; "},
      {"Expect: 200-ok\r\n", "417"},
      {"Expect: 100-continue, x\r\n", "417"},
      {"Expect: 100-continue\r\nExpect: 100-continue\r\n", "417"},
      {"Connection: keep-alive\r\n", "POST /; "},
      {"Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", "POST /; "},
  };
  for (const auto& [lines, expected] : fields) {
    const bool is_fine = expected.starts_with("POST");
    cases.push_back({"fields: " + lines, "POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" + kNext,
                     is_fine ? expected + "GET /next; " : expected});
  }
}

void add_hosts(std::vector<Http1Case>& cases) {
  const std::vector<std::pair<std::string, std::string>> hosts = {
      {"Host: a:8000\r\n", "GET /; "},
      {"Host:\r\n", "GET /; "},
      {"Host: [::1]:80\r\n", "GET /; "},
      {"Host: [::1]\r\n", "GET /; "},
      {"Host: 10.0.0.1:\r\n", "GET /; "},
      {"Host: a_b.c%20\r\n", "GET /; "},
      {"", "400"},
      {"Host: a b\r\n", "400"},
      {"Host: a,b\r\n", "400"},
      {"Host: a/b\r\n", "400"},
      {"Host: u@a\r\n", "400"},
      {"Host: a:b\r\n", "400"},
      {"Host: a:1:2\r\n", "400"},
      {"Host: [::1\r\n", "400"},
      {"Host: [::1]x\r\n", "400"},
      {"Host: http://a\r\n", "400"},
      {"Host: a\r\nHost: b\r\n", "400"},
      {"Host: a?\r\n", "400"},
      {"Host: []\r\n", "400"},
      {"Host: a#\r\n", "400"},
      {"Host: \xC3\xA4\r\n", "400"},
      {"Host: a\\b\r\n", "400"},
  };
  for (const auto& [lines, expected] : hosts) {
    cases.push_back({"host: " + lines, "GET / HTTP/1.1\r\n" + lines + "\r\n" + kNext,
                     expected == "400" ? expected : expected + "GET /next; "});
  }
}

// Chunked bodies of a POST to /.
void add_chunked(std::vector<Http1Case>& cases) {
  const std::vector<std::pair<std::string, std::string>> bodies = {
      {"0\r\n\r\n", "''; "},
      {"3\r\nabc\r\n0\r\n\r\n", "'abc'; "},
      {"3\r\nabc\r\n00\r\n\r\n", "'abc'; "},
      {"0003\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "'abcde'; "},
      {"a\r\n0123456789\r\n0\r\n\r\n", "'0123456789'; "},
      {"A\r\n0123456789\r\n0\r\n\r\n", "'0123456789'; "},
      {"3\r\n\r\n\n\r\n0\r\n\r\n", "'\r\n\n'; "},
      {"3;a\r\nabc\r\n0;b\r\n\r\n", "'abc'; "},
      {"3;a=b;c=\"d;\\\"e\"\r\nabc\r\n0\r\n\r\n", "'abc'; "},
      {"3 ; a = b\r\nabc\r\n0\r\n\r\n", "'abc'; "},
      {"0\r\nTrailer: x\r\nContent-Length: 5\r\n\r\n", "''; "},
      {"3;\r\nabc\r\n0\r\n\r\n", "400"},
      {"3;=b\r\nabc\r\n0\r\n\r\n", "400"},
      {"3;a=\r\nabc\r\n0\r\n\r\n", "400"},
      {"3;a=\"b\r\nabc\r\n0\r\n\r\n", "400"},
      {"3;a b\r\nabc\r\n0\r\n\r\n", "400"},
      {"3;a\x01\r\nabc\r\n0\r\n\r\n", "400"},
      {"3;a\nabc\r\n0\r\n\r\n", "400"},
      {"3;a\rb\r\nabc\r\n0\r\n\r\n", "400"},
      {"3 \r\nabc\r\n0\r\n\r\n", "400"},
      {"3\t\r\nabc\r\n0\r\n\r\n", "400"},
      {" 3\r\nabc\r\n0\r\n\r\n", "400"},
      {"+3\r\nabc\r\n0\r\n\r\n", "400"},
      {"-3\r\nabc\r\n0\r\n\r\n", "400"},
      {"0x3\r\nabc\r\n0\r\n\r\n", "400"},
      {"3h\r\nabc\r\n0\r\n\r\n", "400"},
      {"g\r\nabc\r\n0\r\n\r\n", "400"},
      {"3,3\r\nabc\r\n0\r\n\r\n", "400"},
      {"3_0\r\nabc\r\n0\r\n\r\n", "400"},
      {"\r\nabc\r\n0\r\n\r\n", "400"},
      {"3\nabc\r\n0\r\n\r\n", "400"},
      {"3\rabc\r\n0\r\n\r\n", "400"},
      {"3"s + '\0' + "\r\nabc\r\n0\r\n\r\n", "400"},
      {"3\r\nabc0\r\n\r\n", "400"},
      {"3\r\nabcd\r\n0\r\n\r\n", "400"},
      {"3\r\nabc\n0\r\n\r\n", "400"},
      {"3\r\nabc\r0\r\n\r\n", "400"},
      {"3\r\nabc\r\n\r\n0\r\n\r\n", "400"},
      {"4\r\nabc\r\n0\r\n\r\n", "400"},
      {"2\r\nabc\r\n0\r\n\r\n", "400"},
      {"10000000000000000\r\n", "400"},
      {"00000000000000003\r\nabc\r\n0\r\n\r\n", "400"},
      {"fffffffffffffffff\r\n", "400"},
      {"0\r\nno colon\r\n\r\n", "400"},
      {"0\r\nX : y\r\n\r\n", "400"},
      {"0\r\nX: y\r\n folded\r\n\r\n", "400"},
      {"0\r\nX: y\n\r\n", "400"},
      {"0\r\nX: \x01\r\n\r\n", "400"},
      {"0\r\n\n", "400"},
      {"0\n\n", "400"},
      {"3;" + std::string(300, 'a') + "\r\nabc\r\n0\r\n\r\n", "413"},
      {"0\r\nX: " + std::string(9000, 'a') + "\r\n\r\n", "413"},
      {"0\r\n" +
           [] {
             std::string trailers;
             for (int i = 0; i < 9000; ++i) trailers += "X: yyyy\r\n";
             return trailers;
           }() +
           "\r\n",
       "413"},
  };
  for (const auto& [body, expected] : bodies) {
    const bool is_fine = expected.starts_with('\'');
    cases.push_back({"chunked: " + body.substr(0, 60),
                     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n" + body + kNext,
                     "POST / " + expected + (is_fine ? "GET /next; " : "")});
  }
}

void add_whole_messages(std::vector<Http1Case>& cases) {
  const std::string many(100, 'x');
  std::string hundred = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 99; ++i) hundred += "X: y\r\n";
  std::string large = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 9; ++i) large += "X: " + std::string(8000, 'y') + "\r\n";
  const std::string with_length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n";
  const std::vector<Http1Case> whole = {
      {"nothing", "", ""},
      {"one empty line in front", "\r\n" + kNext, "GET /next; "},
      {"one empty line between", kNext + "\r\n" + kNext, "GET /next; GET /next; "},
      {"two empty lines in front", "\r\n\r\n" + kNext, "400"},
      {"empty line with bare LF", "\n" + kNext, "400"},
      {"empty line with bare CR", "\r" + kNext, "400"},
      {"all bare LF", "GET / HTTP/1.1\nHost: a\n\n", "400"},
      {"all bare CR", "GET / HTTP/1.1\rHost: a\r\r", "400"},
      {"blank line with bare LF", "GET / HTTP/1.1\r\nHost: a\r\n\n" + kNext, "400"},
      {"blank line with bare CR", "GET / HTTP/1.1\r\nHost: a\r\n\r" + kNext, "400"},
      {"blank line with a space", "GET / HTTP/1.1\r\nHost: a\r\n \r\n" + kNext, "400"},
      {"LF CR", "GET / HTTP/1.1\n\rHost: a\n\r\n\r", "400"},
      {"HTTP/0.9", "GET /\r\n", "more"},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
      {"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01"s, "400"},
      {"a response", "HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", "400"},
      {"1.0", "GET / HTTP/1.0\r\n\r\n" + kNext, "GET / 1.0 close; "},
      {"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + kNext,
       "GET / 1.0; GET /next; "},
      {"1.0 keep-alive and close", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n" + kNext,
       "GET / 1.0 close; "},
      {"1.0 chunked", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"1.0 expect", "POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\na", "POST / 1.0 'a' close; "},
      {"1.0 two hosts", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
      {"1.0 absolute target, no host", "GET http://a/ HTTP/1.0\r\n\r\n", "400"},
      {"close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n" + kNext, "GET / close; "},
      {"close in a second field",
       "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", "GET / close; "},
      {"not close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n" + kNext, "GET /; GET /next; "},
      {"pipelined", kNext + with_length + "\r\nbody" + kNext, "GET /next; POST / 'body'; GET /next; "},
      {"a body that looks like a request",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kNext.size()) + "\r\n\r\n" + kNext +
           kNext,
       "POST / '" + kNext + "'; GET /next; "},
      {"a length too short by one", with_length + "\r\nbody{" + kNext, "POST / 'body'; 400"},
      {"a body cut off", with_length + "\r\nbod", "POST /more"},
      {"a chunked body cut off",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "POST /more"},
      {"a huge chunk begins",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
       "POST /more"},
      {"a huge length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\nabc",
       "POST /more"},
      {"expects a length", with_length + "Expect: 100-continue\r\n\r\nbody", "POST / expects 'body'; "},
      {"expects chunks",
       "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "POST / expects ''; "},
      {"a GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" + kNext,
       "GET / 'ab'; GET /next; "},
      {"100 fields", hundred + "\r\n" + kNext, "GET /; GET /next; "},
      {"101 fields", hundred + "X: y\r\n\r\n" + kNext, "431"},
      {"a head above 64 KiB", large + "\r\n" + kNext, "431"},
      {"a head above 64 KiB, not ended", large, "431"},
      {"a line of 8 KiB", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(8192 - 3, 'y') + "\r\n\r\n",
       "GET /; "},
      {"a line of 8 KiB and 1", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(8192 - 2, 'y') + "\r\n\r\n",
       "431"},
      {"a line without end", "GET /" + std::string(9000, 'a'), "431"},
      {"a target of 8 KiB", "GET /" + std::string(8192, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
      {"a method of 8 KiB", std::string(9000, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
      {"a method without end", std::string(100, 'A'), "more"},
  };
  cases.insert(cases.end(), whole.begin(), whole.end());
}

}  // namespace

std::vector<Http1Case> http1_cases() {
  std::vector<Http1Case> cases;
  add_request_lines(cases);
  add_fields(cases);
  add_hosts(cases);
  add_chunked(cases);
  add_whole_messages(cases);
  return cases;
}

}  // namespace naiad
