// Turns the model's raw reply into the answer a person sees, while it streams. Every [n] that leaves here has
// been checked: a marker whose passage does not support its claim is pointed to the passage that does, or
// dropped; a claim without a marker gets one where a passage supports it; each number stands for one verbatim
// quote. Quotation marks around words that the passages do not hold are removed, and so is what was copied
// from the frame around them (frame_echo.h). Text is held back only as long as a decision needs (a marker,
// the end of a sentence), and what was emitted is never taken back.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/agent.h"
#include "agent/asked_value.h"
#include "agent/evidence.h"
#include "agent/frame_echo.h"
#include "agent/support.h"

namespace lectern {

class CitedText {
 public:
  // What became of the model's own markers, for the trace.
  struct Counts {
    int kept = 0, repointed = 0, dropped = 0, attached = 0, unquoted = 0;
  };

  // Keeps references to its arguments. `emit` returns false to stop.
  CitedText(const std::vector<EvidencePassage>& evidence, const SupportIndex& support,
            std::string_view question, std::function<bool(std::string_view)> emit);

  // Takes the next piece of the reply, whole UTF-8 sequences. false: the receiver wants no more.
  bool feed(std::string_view piece);
  // The reply is complete.
  bool finish();

  const std::string& text() const { return text_; }
  std::string words() const { return words_since(0); }  // the text without its markers
  const std::vector<Citation>& citations() const { return citations_; }
  // Sentences of text() that say something and that no passage supports, in order, without blanks around.
  const std::vector<TextRange>& unsupported() const { return unsupported_; }
  const Counts& counts() const { return counts_; }
  // Complete sentences so far that are cited or named unsupported.
  int n_judged() const { return n_judged_; }

 private:
  bool step(bool final);
  bool take_marker(bool final);
  bool take_quotation(bool final);
  bool take_sentence_end(bool final);
  enum class Echo { kNone, kUnclear, kDropped };
  Echo drop_echo(bool final);
  void take_blanks(size_t n_bytes);
  void take_character();

  // What was written from `begin` on, without markers.
  std::string words_since(size_t begin) const;
  void cite_marked(const std::vector<int>& labels);
  void cite_unmarked();
  void end_claim();
  // Not when it gives a value of another kind than the question asks for.
  bool may_answer(std::string_view claim) const { return asked_.may_be_in(claim, n_judged_ == 0); }
  void add_citation(const SupportMatch& match);
  bool in_passages(std::string_view words) const;
  void put(std::string_view text);

  const std::vector<EvidencePassage>* evidence_;
  const SupportIndex* support_;
  FrameEcho echo_;
  AskedValue asked_;
  std::string_view question_;
  std::function<bool(std::string_view)> emit_;

  std::string raw_;          // received and not yet decided
  std::string text_;         // emitted
  std::string blanks_;       // with commas: seen and held until something visible follows
  size_t emitted_ = 0;       // bytes of text_ given to emit_
  size_t claim_begin_ = 0;   // in text_: after the last sentence end
  size_t after_marker_ = 0;  // in text_: after the last marker of the sentence
  bool marked_ = false;      // the claim at hand has a marker that was checked
  bool in_code_ = false;
  std::vector<Citation> citations_;
  std::vector<TextRange> unsupported_;
  Counts counts_;
  int n_judged_ = 0;
};

// The reply says that the documents do not answer: the agreed sentence in either language or a short free
// form of it ("The passages do not mention ...").
bool says_not_found(std::string_view reply);

}  // namespace lectern
