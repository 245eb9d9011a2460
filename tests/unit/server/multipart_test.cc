#include "apps/server/multipart.h"

#include "apps/server/http.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::server;

namespace {

const std::string kForm =
    "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n"
    "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\"%22.md\"\r\n"
    "Content-Type: text/markdown\r\n\r\nline\r\n--\r\n--a\r\n\r\n--b--\r\n";

}  // namespace

TEST_CASE("a form is taken apart") {
  const auto parts = parse_form(kForm, "b");
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].name == "purpose");
  CHECK_FALSE(parts[0].filename);
  CHECK(parts[0].body == "assistants");
  CHECK(parts[1].name == "file");
  CHECK(parts[1].filename == "a \"b\"\".md");
}

TEST_CASE("a boundary is found in a content type") {
  CHECK(form_boundary("multipart/form-data; boundary=abc") == "abc");
  CHECK(form_boundary("multipart/form-data; charset=utf-8; Boundary=\"a b\"") == "a b");
  CHECK_THROWS_AS(form_boundary("multipart/form-data"), HttpError);
  CHECK_THROWS_AS(form_boundary("multipart/form-data; boundary="), HttpError);
  CHECK_THROWS_AS(form_boundary("multipart/form-data; boundary=\"abc"), HttpError);
  CHECK_THROWS_AS(form_boundary("multipart/form-data; boundary=" + std::string(71, 'x')), HttpError);
  CHECK_THROWS_AS(form_boundary("multipart/form-data; boundary=a\x01"), HttpError);
}

TEST_CASE("a form that is cut anywhere is refused") {
  for (size_t n = 0; n + 2 < kForm.size(); ++n) {
    INFO(n);
    CHECK_THROWS_AS(parse_form(kForm.substr(0, n), "b"), HttpError);
  }
  CHECK(parse_form(kForm.substr(0, kForm.size() - 2), "b").size() == 2);
  CHECK_THROWS_AS(parse_form(kForm + "x", "b"), HttpError);
}

TEST_CASE("long lines and many parts are refused") {
  const auto form = [](const std::string& head) { return "--b\r\n" + head + "\r\n\r\nx\r\n--b--"; };
  const std::string disposition = "Content-Disposition: form-data; name=\"file\"";
  CHECK(parse_form(form(disposition), "b").size() == 1);
  CHECK_THROWS_AS(parse_form(form(disposition + "; x=\"" + std::string(1 << 20, 'a') + "\""), "b"),
                  HttpError);
  CHECK_THROWS_AS(parse_form(form("X: y"), "b"), HttpError);
  CHECK_THROWS_AS(parse_form(form("no colon"), "b"), HttpError);
  CHECK_THROWS_AS(parse_form(form(disposition + "\r\n" + disposition), "b"), HttpError);
  CHECK_THROWS_AS(parse_form(form(disposition + "\r\nContent-Transfer-Encoding: base64"), "b"), HttpError);
  CHECK_THROWS_AS(parse_form(form("Content-Disposition: attachment; name=\"x\""), "b"), HttpError);
  std::string many;
  for (int i = 0; i < 17; ++i) many += "--b\r\n" + disposition + "\r\n\r\nx\r\n";
  CHECK_THROWS_AS(parse_form(many + "--b--", "b"), HttpError);
}
