// Formats that are zip archives of XML.
#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/extract.h"
#include "tests/support/catch.h"
#include "tests/support/zip_file.h"

using namespace lectern;

namespace {

std::string repeat(const std::string& piece, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += piece;
  return out;
}

const std::string kWord = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"";
const std::string kMainRelation =
    "<Relationships><Relationship Id=\"r1\" Type=\"http://x/relationships/officeDocument\" "
    "Target=\"word/document.xml\"/></Relationships>";
const std::string kWordRelations =
    "<Relationships><Relationship Type=\"http://x/styles\" Target=\"styles.xml\"/><Relationship "
    "Type=\"http://x/footnotes\" "
    "Target=\"footnotes.xml\"/></Relationships>";
const std::string kStyles =
    "<w:styles " + kWord +
    "><w:style w:styleId=\"1\"><w:name w:val=\"heading 1\"/></w:style><w:style w:styleId=\"Mine\"><w:basedOn "
    "w:val=\"1\"/></w:style><w:style w:styleId=\"T\"><w:name w:val=\"Title\"/></w:style><w:style "
    "w:styleId=\"a\"><w:basedOn "
    "w:val=\"b\"/></w:style><w:style w:styleId=\"b\"><w:basedOn w:val=\"a\"/></w:style></w:styles>";
const std::string kFootnotes =
    "<w:footnotes " + kWord +
    "><w:footnote w:type=\"separator\" "
    "w:id=\"0\"><w:p><w:r><w:t>no</w:t></w:r></w:p></w:footnote><w:footnote "
    "w:id=\"2\"><w:p><w:r><w:t>See the deed.</w:t></w:r></w:p></w:footnote></w:footnotes>";

std::string paragraph(const std::string& text, const std::string& properties = "") {
  return "<w:p><w:pPr>" + properties + "</w:pPr><w:r><w:t xml:space=\"preserve\">" + text +
         "</w:t></w:r></w:p>";
}

std::string docx_bytes(const std::string& body, const ZipEntries& more = {}) {
  ZipEntries entries{{"[Content_Types].xml", "<Types/>"},
                     {"_rels/.rels", kMainRelation},
                     {"word/document.xml", "<?xml version=\"1.0\"?><w:document " + kWord + "><w:body>" +
                                               body + "</w:body></w:document>"},
                     {"word/_rels/document.xml.rels", kWordRelations},
                     {"word/styles.xml", kStyles},
                     {"word/footnotes.xml", kFootnotes}};
  entries.insert(entries.end(), more.begin(), more.end());
  return make_zip(entries);
}

Document docx(const std::string& body) {
  return extract_text(docx_bytes(body), "docx", "lease.docx", {});
}

std::string error_of(const std::string& bytes, const std::string& format, const ExtractLimits& limits = {}) {
  try {
    extract_text(bytes, format, "bad." + format, limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

ZipEntries book(const std::string& chapter) {
  return {
      {"mimetype", "application/epub+zip"},
      {"META-INF/container.xml",
       "<container xmlns=\"urn:c\"><rootfiles><rootfile full-path=\"OEBPS/content.opf\" "
       "media-type=\"x\"/></rootfiles></container>"},
      {"OEBPS/content.opf",
       "<package xmlns:dc=\"urn:dc\"><metadata><dc:title>The  Book</dc:title></metadata><manifest><item "
       "id=\"two\" "
       "href=\"text/chapter%202.xhtml\"/><item id=\"one\" href=\"./text/../one.xhtml\"/><item id=\"gone\" "
       "href=\"gone.xhtml\"/></manifest><spine><itemref idref=\"one\"/><itemref idref=\"two\"/><itemref "
       "idref=\"gone\"/><itemref "
       "idref=\"one\"/></spine></package>"},
      {"OEBPS/text/chapter 2.xhtml",
       "<html><head><title/><script src=\"x\"/></head><body><h1>Two</h1><p>Second.</p></body></html>"},
      {"OEBPS/one.xhtml", chapter},
      {"OEBPS/cover.jpg", std::string(100, '\xFF')}};
}

}  // namespace

TEST_CASE("docx: paragraphs, headings by style, lists and tables in place") {
  const Document document = docx(
      paragraph("The Lease", "<w:pStyle w:val=\"T\"/>") + paragraph("Rent", "<w:pStyle w:val=\"Mine\"/>") +
      paragraph("It is 900 ") + paragraph("Deep", "<w:outlineLvl w:val=\"1\"/>") +
      paragraph("one", "<w:numPr/>") + paragraph("two", "<w:numPr/>") + paragraph("after") +
      "<w:tbl><w:tr><w:tc>" + paragraph("Room") + "</w:tc><w:tc>" + paragraph("Size") +
      "</w:tc></w:tr><w:tr><w:tc>" + paragraph("Kitchen") + "</w:tc><w:tc>" + paragraph("9") +
      paragraph("m2") + "</w:tc></w:tr></w:tbl>" + paragraph("end", "<w:pStyle w:val=\"a\"/>"));
  CHECK(document.text ==
        "The Lease\n\nRent\n\nIt is 900\n\nDeep\n\n- one\n- two\n\nafter\n\nRoom | Size\nKitchen | "
        "9\nm2\n\nend\n");
  CHECK(document.title == "The Lease");
  REQUIRE(document.headings.size() == 2);
  CHECK(document.headings[0].text == "Rent");
  CHECK(document.headings[0].level == 1);
  CHECK(document.headings[1].level == 2);
  CHECK(document.keep_whole.size() == 2);
}

TEST_CASE("docx: runs, breaks, footnotes, deletions and field codes") {
  const Document document = docx(
      "<w:p><w:r><w:t>spl</w:t></w:r><w:r><w:t>it</w:t><w:tab/><w:t>tab</w:t><w:br/><w:t>line</w:t></"
      "w:r><w:del><w:r><w:t>gone</w:t></w:r></w:del>"
      "<w:ins><w:r><w:t> "
      "new</w:t></w:r></w:ins><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:footnoteReference "
      "w:id=\"2\"/></w:r></w:p>" +
      paragraph("next"));
  CHECK(document.text == "split tab\nline new[^1]\n\n[^1]: See the deed.\n\nnext\n");
  const Document properties = extract_text(
      docx_bytes(paragraph("x"),
                 {{"docProps/core.xml", "<cp:p xmlns:dc=\"d\"><dc:title>From properties</dc:title></cp:p>"}}),
      "docx", "a.docx", {});
  CHECK(properties.title == "From properties");
}

TEST_CASE("docx: text is clean UTF-8 whatever the file says") {
  const Document document = docx(paragraph("a&#xD800;b&#1;c&#x80;d &amp; \xFF e"));
  CHECK(utf8::is_valid(document.text));
  CHECK(holds(document.text, "d & \xEF\xBF\xBD e"));
}

TEST_CASE("docx: files that are none are one clear error") {
  CHECK(holds(error_of("", "docx"), "is no zip archive"));
  CHECK(holds(error_of("hello", "docx"), "is no zip archive"));
  CHECK(holds(error_of("\xD0\xCF\x11\xE0 old", "docx"),
              "is encrypted or in an Office format from before 2007"));
  CHECK(holds(error_of(make_zip({{"a.txt", "x"}}), "docx"), "has no part word/document.xml"));
  const std::string whole = docx_bytes(paragraph("text"));
  CHECK(holds(error_of(whole.substr(0, whole.size() / 2), "docx"), "truncated or damaged"));
  CHECK(holds(error_of(make_zip({{"word/document.xml", "<w:document><w:body>"}}), "docx"),
              "is not well-formed at byte"));
  CHECK(holds(error_of(make_zip({{"word/document.xml", "<w:document/>"}}), "docx"), "has no body"));
}

TEST_CASE("docx: any truncation gives an error or a document, never harm") {
  const std::string whole = docx_bytes(paragraph("text of some length") + paragraph("more"));
  for (size_t n = 0; n < whole.size(); n += 7) CHECK_FALSE(error_of(whole.substr(0, n), "docx").empty());
  for (size_t i = 0; i < whole.size(); i += 3) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    error_of(damaged, "docx");  // throws nothing but Error
  }
  SUCCEED();
}

TEST_CASE("archives: bombs are refused") {
  const std::string zeros(8 << 20, ' ');
  CHECK(holds(error_of(docx_bytes("<w:p/>" + zeros), "docx"), "unpacks to far more than its size"));
  CHECK(holds(error_of(docx_bytes(repeat("<w:sdt>", 300) + repeat("</w:sdt>", 300)), "docx"),
              "nested deeper than 256"));
  ZipEntries many;
  for (int i = 0; i < 50; ++i) many.emplace_back("e" + std::to_string(i), "");
  ExtractLimits limits;
  limits.max_archive_entries = 40;
  CHECK(holds(error_of(make_zip(many), "docx", limits), "more than 40 entries"));
  limits = {};
  limits.max_text_bytes = 4000;
  CHECK_FALSE(error_of(docx_bytes(repeat(paragraph("word"), 100)), "docx", limits).empty());
  // External entities and entity bombs are not expanded.
  const std::string bomb =
      "<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;\"><!ENTITY "
      "x SYSTEM "
      "\"file:///etc/passwd\">]><w:document " +
      kWord + "><w:body><w:p><w:r><w:t>&b;&x;</w:t></w:r></w:p></w:body></w:document>";
  const Document entities = extract_text(make_zip({{"word/document.xml", bomb}}), "docx", "a.docx", {});
  CHECK_FALSE(holds(entities.text, "aaaa"));
  CHECK_FALSE(holds(entities.text, "root:"));
}

TEST_CASE("docx: one long footnote referred to many times is written once") {
  const std::string reference = "<w:r><w:footnoteReference w:id=\"2\"/></w:r>";
  const Document document = docx("<w:p>" + repeat(reference, 5000) + "</w:p>");
  CHECK(document.text.size() < 100);
}

TEST_CASE("epub: chapters in the order of the spine") {
  const Document document = extract_text(
      make_zip(book("<html><body><h1>One</h1><p>First.</p></body></html>")), "epub", "book.epub", {});
  CHECK(document.title == "The Book");
  CHECK(document.text == "One\n\nFirst.\n\nTwo\n\nSecond.\n");
  REQUIRE(document.headings.size() == 2);
  REQUIRE(document.warnings.size() == 1);
  CHECK(holds(document.warnings[0], "2 chapters"));  // one is missing, one is named twice
}

TEST_CASE("epub: broken and protected books are one clear error") {
  CHECK(holds(error_of(make_zip({{"x", "y"}}), "epub"), "has no part META-INF/container.xml"));
  ZipEntries locked = book("x");
  locked.emplace_back("META-INF/encryption.xml",
                      "<encryption><EncryptedData><CipherData><CipherReference "
                      "URI=\"OEBPS/one.xhtml\"/></CipherData></EncryptedData></encryption>");
  CHECK(holds(error_of(make_zip(locked), "epub"), "is encrypted (DRM)"));
  ZipEntries fonts = book("<p>text</p>");
  fonts.emplace_back("META-INF/encryption.xml",
                     "<encryption><EncryptedData><CipherData><CipherReference "
                     "URI=\"OEBPS/a.ttf\"/></CipherData></EncryptedData></encryption>");
  CHECK(error_of(make_zip(fonts), "epub").empty());
  ZipEntries nothing = book("");
  nothing[3].second = "<p></p>";
  CHECK(holds(error_of(make_zip(nothing), "epub"), "holds no text"));
}

TEST_CASE("archives: formats are found by name and content") {
  const std::string zip = docx_bytes("");
  CHECK(detect_format("a.docx", zip) == "docx");
  CHECK(detect_format("a.docx", "no zip") == "docx");
  CHECK(detect_format("a.zip", zip).empty());
  // The first entry of a book is stored as it is, without an extra field.
  CHECK(detect_format("book", "PK\x03\x04" + std::string(26, ' ') + "mimetypeapplication/epub+zipPK") ==
        "epub");
}
