#include "agent/languages.h"

#include "tests/support/catch.h"

namespace lectern {

TEST_CASE("the prompts' language follows the request") {
  CHECK(prompt_language("Who built it?") == "en");
  CHECK(prompt_language("谁建造的？") == "zh");
  CHECK(prompt_language("V&A在哪一年收到了Talbot Hughes的收藏品？") == "zh");
  CHECK(prompt_language("What does the sign 道 mean in this text?") == "en");
  CHECK(prompt_language("これは何ですか、漢字も") == "en");
  CHECK(prompt_language("") == "en");
  CHECK(prompt_language("2012 1999") == "en");
}

TEST_CASE("scripts tell languages") {
  CHECK(language_of_script("Кто построил?") == "ru");
  CHECK(language_of_script("ใครสร้าง") == "th");
  CHECK(language_of_script("누가 지었나요") == "ko");
  CHECK(language_of_script("من بنى البيت") == "ar");
  CHECK(language_of_script("किसने बनाया") == "hi");
  CHECK(language_of_script("Ποιος το έχτισε") == "el");
  CHECK(language_of_script("これは何ですか") == "ja");
  CHECK(language_of_script("Wer baute es?").empty());
  CHECK(language_of_script("\xff\xfe").empty());
}

TEST_CASE("languages have names in both prompt languages") {
  CHECK(language_name("de", "en") == "German");
  CHECK(language_name("de", "zh") == "德文");
  CHECK(language_name("xx", "en") == "xx");
}

}  // namespace lectern
