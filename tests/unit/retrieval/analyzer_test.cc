#include "retrieval/analyzer.h"

#include <algorithm>
#include <thread>

#include "tests/support/catch.h"

using namespace lectern;

namespace {

std::vector<std::string> texts(const std::vector<Term>& terms) {
  std::vector<std::string> result;
  for (const Term& term : terms) result.push_back(term.text);
  return result;
}

std::vector<std::string> document(std::string_view text, std::string_view language = {}) {
  Analyzer analyzer;
  std::vector<Term> terms;
  analyzer.analyze_document(text, terms, language);
  return texts(terms);
}

std::vector<std::string> query(std::string_view text, const std::vector<std::string>& languages = {}) {
  Analyzer analyzer;
  std::vector<Term> terms;
  analyzer.analyze_query(text, terms, languages);
  return texts(terms);
}

bool has(const std::vector<std::string>& terms, const std::string& term) {
  return std::find(terms.begin(), terms.end(), term) != terms.end();
}

using Terms = std::vector<std::string>;

}  // namespace

TEST_CASE("words are folded and stemmed by the language of the text") {
  CHECK(document("The Running dogs were HAPPY.", "en") == Terms{"the", "run", "dog", "were", "happi"});
  CHECK(document("Die Häuser und die Straßen", "de") == Terms{"die", "haus", "und", "die", "strass"});
  CHECK(document("ｆｕｌｌ ｗｉｄｔｈ ﬁgure", "en") == Terms{"full", "width", "figur"});
  CHECK(document("Книги и книга", "ru") == Terms{"книг", "и", "книг"});
  CHECK(document("İstanbul'da Işık", "tr") == Terms{"istanbul", "isik"});
  CHECK(document("l'eau de l’église", "fr") == Terms{"eau", "de", "eglis"});
}

TEST_CASE("diacritics, points and letter variants do not keep words apart") {
  CHECK(document("café Ångström Łódź", "") == document("cafe Angstrom Lodz", ""));
  CHECK(document("cafe\u0301") == document("caf\u00e9"));  // composed or not
  CHECK(document("كِتَابٌ") == document("كتاب"));             // Arabic vowel points
  CHECK(document("أحمد") == document("احمد"));             // forms of alef
  CHECK(document("ελληνική") == document("ΕΛΛΗΝΙΚΗ"));
  CHECK(document("йод", "ru") != document("иод", "ru"));  // й is a letter
  CHECK(document("क़लम") == document("कलम"));              // nukta
}

TEST_CASE("Chinese gives overlapping bigrams, traditional as simplified") {
  CHECK(document("机器学习。") == Terms{"机器", "器学", "学习"});
  CHECK(document("機器學習") == document("机器学习"));
  CHECK(document("我 在") == Terms{"我", "在"});
  CHECK(document("第5届GDP增长") == Terms{"第", "5", "届", "gdp", "增长"});
  CHECK(document("カタカナ") == document("ｶﾀｶﾅ"));
  CHECK(document("コーヒー") == Terms{"コー", "ーヒ", "ヒー"});
}

TEST_CASE("Hangul gives bigrams and the word") {
  CHECK(document("대한민국 서울 시") == Terms{"대한민국", "대한", "한민", "민국", "서울", "시"});
  CHECK(document("\u1112\u1161\u11ab\u1100\u1173\u11af") ==
        document("한글"));  // decomposed, as some disks store it
}

TEST_CASE("Thai, Lao, Khmer and Burmese are divided by dictionary") {
  CHECK(document("ภาษาไทย") == Terms{"ภาษา", "ไทย"});
  CHECK(has(document("แม่น้ำเจ้าพระยา"), "เจ้าพระยา"));
  CHECK(document("ພາສາລາວ").size() == 2);
  CHECK(document("ខ្ញុំស្រឡាញ់ភាសាខ្មែរ").size() >= 2);
  CHECK(document("မြန်မာစာ").size() >= 2);
}

TEST_CASE("marks of scripts that need them stay") {
  CHECK(document("हिन्दी") != document("हनद"));
  CHECK(document("தமிழ்").size() == 1);
  CHECK(document("తెలుగు").size() == 1);
}

TEST_CASE("identifiers give the whole and the parts") {
  CHECK(document("max_tokens") == Terms{"max_tokens", "max", "token"});
  CHECK(document("parseHTMLDocument") == Terms{"parsehtmldocu", "pars", "html", "document"});
  CHECK(document("std::vector") == Terms{"std::vector", "std", "vector"});
  CHECK(document("foo->bar") == Terms{"foo->bar", "foo", "bar"});
  CHECK(document("src/main.cc:42") == Terms{"src/main.cc:42", "src", "main", "cc", "42"});
  CHECK(document("utf8") == Terms{"utf8", "utf", "8"});
  CHECK(document("C++ and C#") == Terms{"c++", "c", "and", "c#", "c"});
  CHECK(document("AT&T") == Terms{"at&t", "at", "t"});
  const auto url = document("see https://example.com/a?q=1.");
  CHECK(has(url, "https://example.com/a?q=1"));
  CHECK(has(url, "exampl"));
  CHECK(document("me@example.org") == Terms{"me@example.org", "me", "exampl", "org"});
}

TEST_CASE("compounds and abbreviations meet their other spellings") {
  CHECK(has(document("e-mail"), "email"));
  CHECK(document("U.S. law") == Terms{"us", "law"});
  CHECK(has(document("COVID-19"), "covid-19"));
  CHECK(document("well-known fact") == Terms{"wellknown", "well", "known", "fact"});
  CHECK(document("state-of-the-art") == Terms{"state", "of", "the", "art"});
}

TEST_CASE("numbers are whole and written one way") {
  CHECK(document("1,234,567 1.234.567 1234567") == Terms{"1234567", "1234567", "1234567"});
  CHECK(document("3.14 3,14 0.125") == Terms{"3.14", "3.14", "0.125"});
  CHECK(document("1,234.5") == Terms{"1234.5"});
  CHECK(document("2015-06-01") == Terms{"2015-06-01", "2015", "06", "01"});
  CHECK(document("v1.2.3 1.2.3") == Terms{"v1.2.3", "v1", "1", "2", "3", "1.2.3", "1", "2", "3"});
  CHECK(document("٢٠١٥ २०१५ ２０１５") == Terms{"2015", "2015", "2015"});
  CHECK(document("10km") == Terms{"10km", "10", "km"});
}

TEST_CASE("terms carry the bytes they came from") {
  const std::string text = "Ünïcode ﬁsh，機器 don’t \U0001F600 ภาษาไทย x";
  Analyzer analyzer;
  std::vector<Term> terms;
  analyzer.analyze_document(text, terms);
  const auto source = [&](const std::string& term) -> std::string {
    for (const Term& t : terms)
      if (t.text == term) return text.substr(t.begin, t.end - t.begin);
    return "(none)";
  };
  CHECK(source("fish") == "ﬁsh");
  CHECK(source("机器") == "機器");
  CHECK(source("ภาษา") == "ภาษา");
  CHECK(source("x") == "x");
  CHECK(terms.front().begin == 0);
  CHECK(text.substr(terms.front().begin, terms.front().end) == "Ünïcode");
  for (size_t i = 1; i < terms.size(); ++i) CHECK(terms[i - 1].begin <= terms[i].begin);
}

TEST_CASE("queries lose function words unless nothing else is left") {
  CHECK(query("What is the capital of France?") == Terms{"capit", "franc"});
  CHECK(query("Wie heißt die Hauptstadt von Frankreich?") == Terms{"heisst", "hauptstadt", "frankreich"});
  CHECK(query("to be or not to be").size() == 6);
  CHECK(query("法国的首都是什么") == Terms{"法国", "国的", "的首", "首都"});
  CHECK(query("是什么") == Terms{"是什", "什么"});
  CHECK(document("What is the capital").size() == 4);
}

TEST_CASE("a query meets documents of every language it is told of") {
  const Terms terms = query("organization Victoria", {"en", "es", "zh"});
  CHECK(has(terms, document("organization", "en").front()));
  CHECK(has(terms, document("Victoria", "es").front()));
  CHECK(has(terms, document("Victoria", "en").front()));
  // Latin words of a Chinese document are stemmed as English ones.
  CHECK(query("organization", {"zh"}) == document("organization", "zh"));
  Analyzer analyzer;
  std::vector<Term> alternatives;
  analyzer.analyze_query("Victoria", alternatives, std::vector<std::string>{"en", "es"});
  REQUIRE(alternatives.size() == 2);
  CHECK(alternatives[0].begin == alternatives[1].begin);
  CHECK(alternatives[0].end == alternatives[1].end);
}

TEST_CASE("languages are told by script and function words") {
  CHECK(guess_language("The cat sat on the mat and looked at the dog.") == "en");
  CHECK(guess_language("Der Hund ist nicht im Haus, aber die Katze.") == "de");
  CHECK(guess_language("El perro no está en la casa de los niños.") == "es");
  CHECK(guess_language("Le chien n'est pas dans la maison avec les enfants.") == "fr");
  CHECK(guess_language("Bu kitap çok güzel ve ben onu okudum.") == "tr");
  CHECK(guess_language("Đây là một cuốn sách rất hay của tôi.") == "vi");
  CHECK(guess_language("Это очень хорошая книга, и я её прочитал.") == "ru");
  CHECK(guess_language("这是一本很好的书。") == "zh");
  CHECK(guess_language("これはとても良い本です。") == "ja");
  CHECK(guess_language("이것은 아주 좋은 책입니다.") == "ko");
  CHECK(guess_language("นี่เป็นหนังสือที่ดีมาก") == "th");
  CHECK(guess_language("هذا كتاب جيد جدا عن التاريخ") == "ar");
  CHECK(guess_language("यह बहुत अच्छी किताब है") == "hi");
  CHECK(guess_language("Αυτό είναι ένα πολύ καλό βιβλίο") == "el");
  CHECK(guess_language("12345 !!!") == "");
  CHECK(guess_language("") == "");
  CHECK(guess_language("Xerxes Quux") == "");
}

TEST_CASE("any bytes are analysed, and terms are short") {
  CHECK(document("").empty());
  CHECK(document("\xff\xfe abc \xe4\xb8 def") == Terms{"abc", "def"});
  CHECK(document(std::string("a\0b", 3)) == Terms{"a", "b"});
  for (const std::string& unit :
       {std::string("x"), std::string("x_"), std::string("9,"), std::string("字"), std::string("aB"),
        std::string("a\u0301"), std::string("ก"), std::string("\xff"), std::string("http://"),
        std::string("가"), std::string("é'")}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    size_t longest = 0;
    for (const std::string& term : document(text)) longest = std::max(longest, term.size());
    CHECK(longest <= 64);
  }
}

TEST_CASE("analyzers on several threads share the character tables") {
  std::vector<std::thread> threads;
  std::vector<Terms> results(4);
  for (Terms& result : results)
    threads.emplace_back([&result] { result = document("漢字 ünï कलम ไทย الكتاب 서울 книги"); });
  for (std::thread& thread : threads) thread.join();
  for (const Terms& result : results) CHECK(result == results[0]);
}

TEST_CASE("the version names the analysis and its data") {
  CHECK(Analyzer::version().find("icu-") != std::string::npos);
  CHECK(Analyzer::version().find("unicode-") != std::string::npos);
}
