#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "retrieval/extract.h"
#include "retrieval/pdf_text.h"
#include "retrieval/subprocess.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
namespace fs = std::filesystem;

namespace {

Document shape(const std::string& text) {
  Document document;
  TextBuilder out(document, "a.pdf", 1 << 20);
  write_pdf_text(text, out);
  out.finish();
  return document;
}

// A PDF of pages with lines in Helvetica; without a cross-reference table, which readers rebuild.
std::string make_pdf(const std::vector<std::vector<std::string>>& pages, const std::string& title = "") {
  std::string kids, objects;
  int number = 4;
  for (const auto& lines : pages) {
    std::string content = "BT /F1 12 Tf 72 720 Td 14 TL\n";
    for (const std::string& line : lines) content += "(" + line + ") Tj T*\n";
    content += "ET";
    kids += std::to_string(number) + " 0 R ";
    objects +=
        std::to_string(number) +
        " 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents " +
        std::to_string(number + 1) + " 0 R>>endobj\n" + std::to_string(number + 1) + " 0 obj<</Length " +
        std::to_string(content.size()) + ">>stream\n" + content + "\nendstream endobj\n";
    number += 2;
  }
  return "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count " +
         std::to_string(pages.size()) + "/Kids[" + kids +
         "]>>endobj\n3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n" + objects +
         std::to_string(number) + " 0 obj<</Title(" + title + ")>>endobj\ntrailer<</Root 1 0 R/Info " +
         std::to_string(number) + " 0 R>>\n%%EOF\n";
}

fs::path write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string error_of(const fs::path& path, const ExtractLimits& limits = {}) {
  try {
    extract_file(path, limits, CancelToken());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool without_pdftotext() {
  return find_program("pdftotext").empty();
}

// A program for run_subprocess, which takes no shell.
SubprocessResult run(const std::string& script, const SubprocessLimits& limits = {}) {
  return run_subprocess({"/bin/sh", "-c", script}, limits, CancelToken());
}

}  // namespace

TEST_CASE("pdf text: lines are joined to paragraphs and hyphens undone") {
  CHECK(shape("This is the first infor-\nmation of a longer\nparagraph it goes on.\n\nNext.\n\f").text ==
        "This is the first information of a longer paragraph it goes on.\n\nNext.\n");
  CHECK(shape("第一行文字在这里\n第二行文字继续。\n\f").text == "第一行文字在这里第二行文字继续。\n");
  // Short lines end on purpose, and so do items.
  CHECK(shape("Name: A\nThis line of the table is long enough\nx\n\f").text ==
        "Name: A\nThis line of the table is long enough x\n");
  CHECK(shape("Things to bring on the long way:\n\xE2\x80\xA2 bread and butter and jam\n\xE2\x80\xA2 tea\n\f")
            .text ==
        "Things to bring on the long way:\n\xE2\x80\xA2 bread and butter and jam\n\xE2\x80\xA2 tea\n");
}

TEST_CASE("pdf text: pages start where their text does, and sentences cross them") {
  const Document document =
      shape("One page that ends in the middle of\n\fa sentence here. Then more follows.\n\f\fLast.\n\f");
  CHECK(document.text ==
        "One page that ends in the middle of a sentence here. Then more follows.\n\nLast.\n");
  REQUIRE(document.pages.size() == 3);
  CHECK(document.pages[1].number == 2);
  CHECK(document.text.substr(document.pages[1].offset, 10) == "a sentence");
  CHECK(document.pages[2].number == 4);
  const Document separate = shape("A page that ends.\n\fNew page.\n\f");
  CHECK(separate.text == "A page that ends.\n\nNew page.\n");
}

TEST_CASE("pdf text: lines repeated on most pages are dropped") {
  std::string text;
  for (int page = 1; page <= 5; ++page)
    text += "Annual Report 2024\n\nText of page number " + std::string(static_cast<size_t>(page), 'x') +
            ".\n\nPage " + std::to_string(page) + " of 5\n\f";
  const Document document = shape(text);
  CHECK_FALSE(holds(document.text, "Annual"));
  CHECK_FALSE(holds(document.text, "of 5"));
  CHECK(holds(document.text, "page number xxx."));
  CHECK(document.pages.size() == 5);
}

TEST_CASE("pdf text: a numbered line right above its text is a heading and a row of a table is not") {
  const std::string full_line = "This is a line of body text that reaches from margin to margin here.";
  const Document document =
      shape("3.2 Storage\n" + full_line + "\n\n4.1 Limits of the method\n" + full_line +
            "\n\n2.5 Metres\n3.5 Feet\n\n" + full_line + "\n1.2 Inside a paragraph\n" + full_line + "\n\f");
  REQUIRE(document.headings.size() == 2);
  CHECK(document.headings[0].text == "3.2 Storage");
  CHECK(document.headings[0].level == 2);
  CHECK(document.headings[1].text == "4.1 Limits of the method");
}

TEST_CASE("pdf text: numbered lines of their own are headings") {
  const Document document = shape(
      "1 Introduction\n\nBody text.\n\n2.1 The method used\n\n3. It is a sentence.\n\n2024 was "
      "good\n\n第三章 结论\n\n7 apples\n\f");
  REQUIRE(document.headings.size() == 3);
  CHECK(document.headings[0].text == "1 Introduction");
  CHECK(document.headings[1].level == 2);
  CHECK(document.headings[2].text == "第三章 结论");
}

TEST_CASE("pdf: text, pages and title through pdftotext") {
  if (without_pdftotext()) LECTERN_SKIP("pdftotext (poppler-utils) is not installed");
  const TempFolder folder;
  const fs::path path =
      write(folder.path() / "-report.pdf",
            make_pdf({{"Beans grow well", "in warm soil."}, {"Second page."}}, "Bean Report"));
  const Document document = extract_file(path, {}, CancelToken());
  CHECK(document.format == "pdf");
  CHECK(document.title == "Bean Report");
  CHECK(holds(document.text, "Beans grow well in warm soil."));
  REQUIRE(document.pages.size() == 2);
  CHECK(document.text.substr(document.pages[1].offset) == "Second page.\n");
  // A program's leftovers are no title.
  const fs::path draft =
      write(folder.path() / "draft.pdf", make_pdf({{"Words."}}, "Microsoft Word - old.doc"));
  CHECK(extract_file(draft, {}, CancelToken()).title == "draft");
  // Found by content where the name says nothing.
  CHECK(extract_file(write(folder.path() / "noname", make_pdf({{"Words."}})), {}, CancelToken()).format ==
        "pdf");
}

TEST_CASE("pdf: files that give no text are one clear error") {
  if (without_pdftotext()) LECTERN_SKIP("pdftotext (poppler-utils) is not installed");
  const TempFolder folder;
  CHECK(
      holds(error_of(write(folder.path() / "scan.pdf", make_pdf({{}, {}}))), "holds no text on its 2 pages"));
  CHECK(holds(error_of(write(folder.path() / "junk.pdf", "this is no PDF at all")),
              "junk.pdf: is damaged or no PDF"));
  CHECK(holds(error_of(write(folder.path() / "empty.pdf", "")), "empty.pdf: is damaged or no PDF"));
  const std::string whole = make_pdf({{"Words on a page."}});
  for (size_t n = 10; n < whole.size(); n += 37)
    error_of(write(folder.path() / "cut.pdf", whole.substr(0, n)));  // nothing but Error
  ExtractLimits limits;
  limits.max_text_bytes = 5;
  CHECK(holds(error_of(write(folder.path() / "long.pdf", whole), limits), "holds more than"));
}

TEST_CASE("pdf: a missing pdftotext names the package") {
  const TempFolder folder;
  const fs::path path = write(folder.path() / "a.pdf", make_pdf({{"x"}}));
  const char* before = std::getenv("PATH");
  const std::string saved = before != nullptr ? before : "";
  ::setenv("PATH", folder.path().c_str(), 1);
  const std::string error = error_of(path);
  ::setenv("PATH", saved.c_str(), 1);
  CHECK(holds(error, "install the package poppler-utils"));
}

TEST_CASE("subprocess: output, errors and exit codes come back") {
  const SubprocessResult result = run("printf out; printf err >&2; exit 3");
  CHECK(result.end == SubprocessResult::End::kExited);
  CHECK(result.exit_code == 3);
  CHECK(result.output == "out");
  CHECK(result.errors == "err");
  CHECK_THROWS_AS(run_subprocess({"/nonexistent/program"}, {}, CancelToken()), Error);
  CHECK(find_program("sh").starts_with("/"));
  CHECK(find_program("no-such-program-here").empty());
}

TEST_CASE("subprocess: limits hold") {
  SubprocessLimits limits;
  limits.max_seconds = 1;
  CHECK(run("sleep 20", limits).end == SubprocessResult::End::kTooSlow);
  CHECK(run("exec >/dev/null 2>&1; sleep 20", limits).end == SubprocessResult::End::kTooSlow);
  limits = {};
  limits.max_output_bytes = 1000;
  const SubprocessResult flood = run("while :; do echo yes; done", limits);
  CHECK(flood.end == SubprocessResult::End::kTooMuchOutput);
  CHECK(flood.output.size() == 1000);
  const TempFolder folder;
  CHECK(run("echo x > " + (folder.path() / "file").string()).end == SubprocessResult::End::kSignalled);
  CHECK((!fs::exists(folder.path() / "file") || fs::file_size(folder.path() / "file") == 0));
  CHECK(run("ulimit -v").output == std::to_string((uint64_t{2} << 30) / 1024) + "\n");
  CHECK(run("kill -SEGV $$").end == SubprocessResult::End::kSignalled);
}

TEST_CASE("subprocess: nothing of ours is open in it, and it can be cancelled") {
  const TempFolder folder;
  std::ofstream secret(folder.path() / "secret");
  CHECK(run("ls /proc/self/fd | wc -l").output.find_first_of("45") == 0);  // 0, 1, 2, the folder itself
  const CancelToken cancel;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel.cancel();
  });
  const Stopwatch watch;
  CHECK_THROWS_AS(run_subprocess({"/bin/sh", "-c", "sleep 30"}, {}, cancel), Error);
  CHECK(watch.seconds() < 5);
  later.join();
}
