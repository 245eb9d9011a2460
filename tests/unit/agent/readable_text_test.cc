#include "agent/readable_text.h"

#include "agent/text_terms.h"
#include "tests/support/catch.h"

namespace lectern {

TEST_CASE("blanks inside running Chinese and Japanese are left out") {
  CHECK(readable("过去，体罚是世界上很多地区 最常见 的课堂纪律之一。") ==
        "过去，体罚是世界上很多地区最常见的课堂纪律之一。");
  CHECK(readable("彼は 京都 に住む。") == "彼は京都に住む。");
  CHECK(readable("他出生， 又  离开。 后来") == "他出生，又离开。后来");
}

TEST_CASE("blanks that part something stay") {
  CHECK(readable("从 1870 年到 1939 年，歌厅摩摩斯 (Momus) 在此。") ==
        "从 1870 年到 1939 年，歌厅摩摩斯 (Momus) 在此。");
  CHECK(readable("姓名 年龄 城市") == "姓名 年龄 城市");
  CHECK(readable("第一章 总则\n第一条，为了 保护，制定。") == "第一章 总则\n第一条，为了保护，制定。");
  CHECK(readable("甲，\t乙，\n  丙。 ") == "甲，\t乙，\n  丙。 ");
  CHECK(readable("  int a  =  1;") == "  int a  =  1;");
  CHECK(readable("กรุงเทพ เป็น เมืองหลวง") == "กรุงเทพ เป็น เมืองหลวง");
}

TEST_CASE("invisible characters are left out, ill-formed bytes are not") {
  CHECK(readable("\xEF\xBB\xBF"
                 "co\xC2\xADop") == "coop");
  CHECK(readable("a\xFF\xE6") == "a\xFF\xE6");
  CHECK(readable("").empty());
}

TEST_CASE("terms are the same with blanks within words and without") {
  CHECK(support_terms("最 常见 的课堂纪律") == support_terms("最常见的课堂纪律"));
}

}  // namespace lectern
