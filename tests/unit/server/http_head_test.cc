#include "apps/server/http_head.h"

#include "tests/support/catch.h"

using namespace lectern::server;

namespace {

// The status of the refusal, 0 when the head is taken.
int status_of(const std::string& text) {
  Head head;
  const auto refusal = parse_head(text, head);
  return refusal ? refusal->status : 0;
}

std::string get(const std::string& headers) {
  return "GET / HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
}

}  // namespace

TEST_CASE("a plain head is read") {
  Head head;
  const auto refusal = parse_head(
      "POST /lectern/ask?x=1 HTTP/1.1\r\nHost: localhost:8642\r\nCONTENT-Length:  12 \r\nX-Empty:\r\n\r\n",
      head);
  REQUIRE_FALSE(refusal);
  CHECK(head.method == "POST");
  CHECK(head.target == "/lectern/ask?x=1");
  CHECK(head.path() == "/lectern/ask");
  CHECK(head.get("host") == "localhost:8642");
  CHECK(head.content_length == 12);
  CHECK(head.count("x-empty") == 1);
  CHECK(head.get("x-empty").empty());
  CHECK_FALSE(head.expects_continue);
}

TEST_CASE("the end of a head is found wherever the pieces were cut") {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
  const size_t end = text.size() - 4;
  for (size_t cut = 0; cut < text.size(); ++cut) {
    if (find_head_end(text.substr(0, cut), 0) == std::string::npos) {
      CHECK(find_head_end(text, cut) == end);
    } else {
      CHECK(cut >= end);
    }
  }
}

TEST_CASE("what is no plain request line is refused") {
  CHECK(status_of("GET /\r\n\r\n") == 400);
  CHECK(status_of("GET  HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("G\x01T / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET http://other/ HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET /a b HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 505);
  CHECK(status_of("GET /" + std::string(kMaxTargetBytes, 'a') + " HTTP/1.1\r\n\r\n") == 414);
  CHECK(status_of("\r\n\r\n") == 400);
  CHECK(status_of("") == 400);
}

TEST_CASE("header lines that parsers could read differently are refused") {
  CHECK(status_of(get("")) == 0);
  CHECK(status_of(get("A: b\nC: d\r\n")) == 400);
  CHECK(status_of(get("A: b\rC: d\r\n")) == 400);
  CHECK(status_of(get(" folded: x\r\n")) == 400);
  CHECK(status_of(get("A : b\r\n")) == 400);
  CHECK(status_of(get("no colon\r\n")) == 400);
  CHECK(status_of(get(std::string("A: b\0c\r\n", 8))) == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: localhost\r\n") == 400);
}

TEST_CASE("lengths are one number, and chunks are refused") {
  CHECK(status_of(get("Content-Length: 5\r\n")) == 0);
  CHECK(status_of(get("Content-Length: 5\r\nContent-Length: 5\r\n")) == 400);
  CHECK(status_of(get("Content-Length: 5, 5\r\n")) == 400);
  CHECK(status_of(get("Content-Length: -5\r\n")) == 400);
  CHECK(status_of(get("Content-Length: +5\r\n")) == 400);
  CHECK(status_of(get("Content-Length: 0x5\r\n")) == 400);
  CHECK(status_of(get("Content-Length:\r\n")) == 400);
  CHECK(status_of(get("Content-Length: 99999999999999999999999\r\n")) == 400);
  CHECK(status_of(get("Transfer-Encoding: chunked\r\n")) == 411);
  CHECK(status_of(get("transfer-encoding: xchunked\r\nContent-Length: 3\r\n")) == 411);
  CHECK(status_of(get("Content-Encoding: gzip\r\nContent-Length: 3\r\n")) == 415);
  CHECK(status_of(get("Expect: 200-ok\r\n")) == 417);
}

TEST_CASE("heads have limits") {
  CHECK(status_of(get("A: " + std::string(kMaxHeaderLineBytes, 'a') + "\r\n")) == 431);
  std::string many;
  for (size_t i = 0; i < kMaxHeaderLines; ++i) many += "A: b\r\n";
  CHECK(status_of(get(many)) == 431);
  const std::string line = "A: " + std::string(6000, 'a') + "\r\n";
  CHECK(status_of(get(line)) == 0);
  CHECK(status_of(get(line + line + line)) == 431);
}

TEST_CASE("what is handed on closes, has one length, and carries no headers of ours from outside") {
  Head head;
  REQUIRE_FALSE(parse_head(
      "POST /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nX-Lectern-Request: forged\r\n"
      "Range: bytes=0-1\r\nAccept-Encoding: gzip\r\nREMOTE_ADDR: 1.2.3.4\r\n"
      "Authorization: Bearer secret\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n",
      head));
  const std::string text = forwarded_head(head, "the-id");
  CHECK(text.starts_with("POST /a HTTP/1.1\r\n"));
  CHECK(text.ends_with("\r\n\r\n"));
  CHECK(text.find("forged") == std::string::npos);
  CHECK(text.find("keep-alive") == std::string::npos);
  CHECK(text.find("secret") == std::string::npos);
  CHECK(text.find("range") == std::string::npos);
  CHECK(text.find("gzip") == std::string::npos);
  CHECK(text.find("1.2.3.4") == std::string::npos);
  CHECK(text.find("x-lectern-request: the-id\r\n") != std::string::npos);
  CHECK(text.find("content-length: 2\r\n") != std::string::npos);
  CHECK(text.find("content-type: application/json\r\n") != std::string::npos);
  Head again;
  CHECK_FALSE(parse_head(text, again));
}

TEST_CASE("the content type of a form is handed on under another name") {
  Head head;
  const auto forwarded = [&](const std::string& type) {
    const std::string text =
        "POST /v1/files HTTP/1.1\r\nHost: h\r\nX-Lectern-Form: forged\r\nContent-Length: "
        "0\r\nContent-Type: " +
        type + "\r\n\r\n";
    REQUIRE_FALSE(parse_head(text, head));
    Head again;
    REQUIRE_FALSE(parse_head(forwarded_head(head, "id"), again));
    return again;
  };
  const Head form = forwarded("Multipart/Form-Data; boundary=b");
  CHECK(form.count("content-type") == 0);
  CHECK(form.count(kFormTypeHeader) == 1);
  CHECK(form.get(kFormTypeHeader) == "Multipart/Form-Data; boundary=b");
  const Head json = forwarded("application/json");
  CHECK(json.get("content-type") == "application/json");
  CHECK(json.count(kFormTypeHeader) == 0);
}
