// What kind of value a question asks for, where that can be told without a model: a telephone number, an
// address of mail or of the web, an amount with a unit, a time. A small model answers such a question with a
// value of another kind that stands near, when the documents lack it (for a telephone number, a price).
// English and Chinese; of other questions nothing is known. Const after construction.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/units.h"

namespace lectern {

class AskedValue {
 public:
  explicit AskedValue(std::string_view question);

  enum class Form { kNone, kPhone, kMail, kWeb };

  bool is_known() const { return quantity_ != Quantity::kNone || form_ != Form::kNone; }

  // Whether `claim` may give what is asked for. False when it names what is asked for (or `is_first`, the
  // reply's first claim, which does not) and its only amounts are of other kinds, or when it lacks the form
  // that a telephone number or an address has. Amounts of the question say nothing.
  bool may_be_in(std::string_view claim, bool is_first) const;

 private:
  // What is asked for is one or the other; neither: nothing is known.
  Quantity quantity_ = Quantity::kNone;
  Form form_ = Form::kNone;
  std::string name_;  // the word that asks: "phone", "cost", "租金"; may be empty
  std::vector<std::string> amounts_of_question_;
};

}  // namespace lectern
