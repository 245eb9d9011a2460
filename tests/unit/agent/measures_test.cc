#include "agent/measures.h"

#include "tests/support/catch.h"

namespace lectern {
namespace {

bool other(std::string_view claim, std::string_view source) {
  return in_other_measure(measures(claim), measures(source));
}

}  // namespace

TEST_CASE("a number that counts something else is another measure") {
  CHECK(other("The pump weighs 118 pounds.", "The pump weighs 118 kg."));
  CHECK(other("It holds 118 tonnes", "it holds 118kg"));
  CHECK(other("75 gallons per minute", "75 litres per minute"));
  CHECK(other("The budget grew by 15 euros.", "The budget grew by 15%."));
  CHECK(other("It cost 980 million euros.", "It cost 980 euros."));
  CHECK(other("The ferry leaves at 6 pm.", "The ferry leaves at 6 a.m."));
  CHECK(other("It came on the 12th day.", "It came after 12 weeks."));
  CHECK(other("水泵花了4500万元。", "水泵花了4500元。"));
  CHECK(other("水泵重118斤", "The pump weighs 118 kg."));
}

TEST_CASE("a day or year of another month, and the letter of another code, are another measure") {
  const std::string source = "Anna signed the order on 12 March 2021.";
  CHECK(other("It was signed on 12 May 2021.", source));
  CHECK(other("It was signed on May 12, 2021.", source));
  CHECK(other("It was signed in December 2021.", source));
  CHECK(other("订单于2021年5月12日签署。", "订单于2021年3月12日签署。"));
  CHECK(other("订单于5月12日签署。", source));
  CHECK(other("Room C-12 holds the spare parts.", "Room B-12 holds the spare parts."));
}

TEST_CASE("the same in other words is the same measure") {
  CHECK_FALSE(other("It weighs 118 kilograms.", "It weighs 118 kg."));
  CHECK_FALSE(other("It weighs 1,180 kg.", "它重1180公斤。"));
  CHECK_FALSE(other("It grew by 15 per cent.", "It grew by 15%."));
  CHECK_FALSE(other("It was on the 12th of March.", "It was on March 12, 2021."));
  CHECK_FALSE(other("订单于2021年3月签署。", "Signed on 12 March 2021."));
  CHECK_FALSE(other("It leaves at 6 p.m.", "It leaves at 6pm."));
  CHECK_FALSE(other("It was in April 2021.", "It lasted from April to May 2021."));
  CHECK_FALSE(other("It weighs 118 kg.", "It weighs 118."));
  CHECK_FALSE(other("It weighs 260 pounds.", "It weighs 118 kg (260 pounds)."));
  CHECK_FALSE(other("In 2021 it may have closed.", "It closed in March 2021."));
}

}  // namespace lectern
