#include "agent/asked_value.h"

#include "tests/support/catch.h"

namespace lectern {
namespace {

bool may(std::string_view question, std::string_view claim, bool first = true) {
  return AskedValue(question).may_be_in(claim, first);
}

}  // namespace

TEST_CASE("a value of another kind is no answer") {
  const std::string_view phone = "What is the phone number of the bakery?";
  CHECK_FALSE(may(phone, "The phone number of the bakery is £4.20."));
  CHECK_FALSE(may(phone, "A rye loaf is 4 pounds."));
  CHECK_FALSE(may(phone, "The phone number of the bakery is in Mill Lane."));
  CHECK(may(phone, "The phone number of the bakery is 01632 960-018."));
  CHECK(may(phone, "The phone number is 112."));
  CHECK_FALSE(may("面包店的电话号码是多少？", "面包店的电话号码是三元。"));
  CHECK(may("面包店的电话号码是多少？", "面包店的电话号码是0512-65550123。"));
  CHECK_FALSE(may("What is the email address of Ada?", "The e-mail address of Ada is Mill Lane 4."));
  CHECK(may("What is the email address of Ada?", "Her mail is ada@quill.org."));
  CHECK_FALSE(may("How heavy is the bell?", "The bell is 1.2 m wide."));
  CHECK(may("How heavy is the bell?", "The bell weighs 1,240 kilograms and is 1.2 m wide."));
  CHECK_FALSE(may("How much does the ferry cost?", "The ferry goes 12 miles."));
  CHECK_FALSE(may("How deep is the pond?", "The pond holds 3 thousand litres."));
  CHECK_FALSE(may("When does the bakery open?", "The bakery sells a loaf for £4.20."));
  CHECK_FALSE(may("渡船的票多少钱？", "渡船走十二公里。"));
  CHECK(may("渡船的票多少钱？", "渡船的票三元。"));
}

TEST_CASE("nothing is said of answers that may be right") {
  CHECK(may("Who built the bell?", "It weighs 40 kg."));
  CHECK(may("How heavy is the 2 m bell?", "The 2 m bell is as heavy as an ox."));
  CHECK(may("How much does the ferry cost?", "The ferry costs 12."));
  CHECK(may("How much does the ferry cost?", "Nothing."));
  CHECK(may("When was it built?", "In the reign of Henry VIII."));
  CHECK(may("When was it built?", "It was built for £400 in 1874."));
  CHECK(may("When does the bakery open?", "It opens at seven and sells bread for £4."));
  CHECK(may("When does the bakery open?", "It opens at noon and sells bread for £4."));
  CHECK(may("How long is the tour?", "58 kilometres."));
  CHECK(may("How long did it take?", "Three days, for £20."));
  CHECK(may("Who invented the telephone?", "Alexander Bell."));
  CHECK(may("What did they pay, and when was it built?", "It was built in 1874."));
  CHECK(may("青石桥有多长？什么时候完工？", "青石桥长48米。"));
}

TEST_CASE("what is said beside the answer is not judged by it") {
  const std::string_view phone = "What is the phone number of the bakery?";
  CHECK(may(phone, "The bakery is in Mill Lane.", true));
  CHECK(may(phone, "A rye loaf is 4 pounds.", false));
  CHECK_FALSE(may(phone, "Its phone costs 4 pounds.", false));
}

}  // namespace lectern
