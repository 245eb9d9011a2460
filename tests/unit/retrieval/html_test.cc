#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/extract.h"
#include "retrieval/html_entities.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {
Document html(const std::string& text) {
  return extract_text(text, "html", "site/page.html", {});
}
std::string body(const std::string& text) {
  return html(text).text;
}
}  // namespace

TEST_CASE("html: blocks become paragraphs, white space collapses") {
  CHECK(body("<p>One\n  two</p><p>Three <b>f</b>our<br>five</p>") == "One two\n\nThree four\nfive\n");
  CHECK(body("<div>a<div>b</div>c</div>") == "a\n\nb\n\nc\n");
  CHECK(body("plain & simple < text") == "plain & simple < text\n");
  CHECK(body("") == "");
  CHECK(body("<ul><li>one</li><li><p>two</p></li></ul>after") == "- one\n\n- two\n\nafter\n");
}

TEST_CASE("html: title, headings and links") {
  const Document page = html(
      "<!DOCTYPE html><html><head><title>\n The &amp; Title </title></head><body><h1>Main "
      "<i>one</i></h1><p>text</p>"
      "<h2 class='x>y'>Sub</h2><a href=\"notes/a%20b.html#x\">a</a><a "
      "href='https://example.org'>b</a></body></html>");
  CHECK(page.title == "The & Title");
  CHECK(page.text == "Main one\n\ntext\n\nSub\n\nab\n");
  REQUIRE(page.headings.size() == 2);
  CHECK(page.headings[0].text == "Main one");
  CHECK(page.headings[1].level == 2);
  CHECK(page.text.substr(page.headings[1].offset, 3) == "Sub");
  CHECK(page.links == std::vector<std::string>{"notes/a b.html"});
  CHECK(html("<h3>Only a heading</h3>").title == "Only a heading");
  CHECK(html("<p>nothing</p>").title == "page");
}

TEST_CASE("html: what is no text for readers is dropped") {
  CHECK(
      body(
          "a<script>if (1 < 2) '<p>'</script><style>p > b {}</style><!-- <p>no --><nav><a>menu</a></nav>b") ==
      "ab\n");
  CHECK(body("a<SCRIPT>x</Script >b<template><p>t</p></template>c") == "abc\n");
  CHECK(body("a<script>never closed <p>b") == "a\n");
  // An unclosed <nav> must not swallow the page.
  CHECK(body("<nav>menu<p>text</p>") == "menu\n\ntext\n");
  CHECK(body("<svg><title>icon</title></svg>x") == "x\n");
  CHECK(body("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>") == "漢字\n");
}

TEST_CASE("html: tables are rows of cells that stay whole") {
  const Document page = html(
      "<table><thead><tr><th>Plant<th>Sown</tr></thead><tr><td><p>Beans</p><td>May<tr><td>Peas</"
      "td><td>a<p>b</p></td></tr></table><p>end");
  CHECK(page.text == "Plant | Sown\nBeans | May\nPeas | a\nb\n\nend\n");
  REQUIRE(page.keep_whole.size() == 3);
  CHECK(page.text.substr(page.keep_whole[1].begin, page.keep_whole[1].end - page.keep_whole[1].begin) ==
        "Beans | May");
}

TEST_CASE("html: pre keeps its lines") {
  const Document page = html("<p>see</p><pre>\nint x;\n  <b>if</b> (a &lt; b)\n\n\n\n  end</pre>tail");
  CHECK(page.text == "see\n\nint x;\n  if (a < b)\n\n  end\n\ntail\n");
  CHECK(page.keep_whole.size() == 1);
}

TEST_CASE("html: character references") {
  const auto decode = [](const std::string& text) {
    std::string out;
    const size_t used = decode_entity(text, 0, out);
    return out + "/" + std::to_string(used);
  };
  CHECK(decode("&amp;") == "&/5");
  CHECK(decode("&eacute;x") == "é/8");
  CHECK(decode("&copy 2020") == "©/5");
  CHECK(decode("&omega;") == "ω/7");
  CHECK(decode("&sigmaf;") == "ς/8");
  CHECK(decode("&Omega;") == "Ω/7");
  CHECK(decode("&#20013;") == "中/8");
  CHECK(decode("&#x4E2d;") == "中/8");
  CHECK(decode("&#150;") == "–/6");
  CHECK(decode("&#0;") == "\xEF\xBF\xBD/4");
  CHECK(decode("&#xD800;") == "\xEF\xBF\xBD/8");
  CHECK(decode("&#99999999999999999999;") == "\xEF\xBF\xBD/23");
  CHECK(decode("&#;") == "/0");
  CHECK(decode("&unknown;") == "/0");
  CHECK(decode("&hellip") == "/0");
  CHECK(decode("&sub=1") == "/0");
  CHECK(decode("&reg=1") == "/0");
  CHECK(decode("&") == "/0");
  // References give text, never markup.
  CHECK(body("&lt;p&gt; &amp;lt;") == "<p> &lt;\n");
}

TEST_CASE("html: charsets from meta, the XML declaration and the mark") {
  CHECK(body("<meta charset=\"gb2312\"><p>\xce\xd2\xc3\xc7") == "我们\n");
  CHECK(body("<meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'><p>\x93\xfa\x96\x7b") ==
        "日本\n");
  CHECK(body("<?xml version='1.0' encoding='ISO-8859-5'?><p>\xe4</p>") == "ф\n");
  CHECK(body("<meta charset=utf-16><p>caf\xC3\xA9") == "café\n");
  CHECK(body(std::string("\xFF\xFE<\0p\0>\0\x2D\x4E", 10)) == "中\n");
}

TEST_CASE("html: broken markup gives text and no harm") {
  CHECK(body("<p>a<") == "a<\n");
  CHECK(body("a<b") == "a\n");
  CHECK(body("a</") == "a\n");
  CHECK(body("a<!-- open") == "a\n");
  CHECK(body("a<![CDATA[b<c]]>d") == "ab<cd\n");
  CHECK(body("<a href=\"never closed>text") == "");
  CHECK(body("x<h1></h1><h2> </h2>y") == "x\n\ny\n");
  CHECK(body("1 < 2 <3 a<1") == "1 < 2 <3 a<1\n");
  CHECK(utf8::is_valid(body("<p>some words \xFF\xC3<td>\x01&#x80;&#1;")));
}

TEST_CASE("html: hostile pages take no more than linear time") {
  for (const std::string piece :
       {"<div>", "<b ", "<!--", "<table><tr><td>", "&", "&#", "<script", "</", "<nav>", "<svg><title>",
        "<h1>a", "<a href='b'>", "<li>", "<a=\"", "<![CDATA[", "<pre>\n", "\xC2\xA0"}) {
    std::string text;
    while (text.size() < 500'000) text += piece;
    CHECK(utf8::is_valid(body(text)));
  }
}

TEST_CASE("html: text over the limit is refused") {
  ExtractLimits limits;
  limits.max_text_bytes = 10;
  CHECK_THROWS_AS(extract_text("<p>hello hello", "html", "a.html", limits), Error);
}

TEST_CASE("formats are found by name and content") {
  CHECK(detect_format("a.md", "# x") == "markdown");
  CHECK(detect_format("A.HTML", "x") == "html");
  CHECK(detect_format("Makefile", "all:") == "code");
  CHECK(detect_format("notes", "plain words") == "text");
  CHECK(detect_format("page", "\n<!DOCTYPE HTML><p>") == "html");
  // A note with a tag in it is no page.
  CHECK(detect_format("a.txt", "use <p> and <div>") == "text");
  CHECK(detect_format("a.md", "<html>") == "markdown");
  CHECK(detect_format("a.md", std::string("\0\1\2\3\0\1\2\3", 8)).empty());
  CHECK(detect_format("a.png", std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16)).empty());
}

TEST_CASE("extract: files that cannot be read are one clear error") {
  const auto code = [](const std::filesystem::path& path) {
    try {
      extract_file(path, {}, CancelToken());
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInvalidArgument;
  };
  CHECK(code("/nonexistent/x.md") == ErrorCode::kNotFound);
  CHECK(code("/dev/zero") == ErrorCode::kUnsupported);
  CHECK(code("/") == ErrorCode::kUnsupported);
  CHECK_THROWS_AS(extract_text("x", "no such format", "a", {}), Error);
}
