// How documents are read whole (level 4): planned before the model is loaded, from what the model takes, what
// is free and how fast earlier readings were; and where what was read is kept for the next question.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "agent/agent.h"
#include "apps/cli/command.h"
#include "engine/kv_store.h"
#include "engine/planner.h"

namespace lectern::cli {

struct ReadingPlan {
  std::shared_ptr<const ModelFile> model;  // to be loaded
  ContextPlan context;
  KvStoreOptions kept;  // where it is kept for the next question; without a folder nowhere
};

// For whichever of `questions` takes most, each about the documents that it names, or all; without questions,
// for a conversation about all of them. What does not fit is no error here: ContextPlan::refusal.
ReadingPlan plan_reading(Program& program, DocumentSource& documents, std::span<const std::string> questions,
                         int answer_tokens);

// Throws Error(kResourceExhausted) with what would fit, and what to do, when the plan does not fit.
void require_fit(const Program& program, const ReadingPlan& plan);

// The speed of this reading, for the next plan; of an answer that read little anew nothing is learnt.
void remember_speed(const Program& program, const ReadingPlan& plan, const Answer& answer);

Json to_json(const ContextPlan& plan);

// Where the KV of whole documents is kept, and how much of it.
std::filesystem::path kept_folder();
uint64_t kept_limit_bytes(const Program& program);

}  // namespace lectern::cli
