// One loaded model for many questions at a time.
#pragma once

#include <mutex>
#include <string>

#include "agent/engine_language_model.h"

namespace lectern {

// The agent's view of an engine that many threads use: the fingerprint is computed once.
class SharedLanguageModel : public EngineLanguageModel {
 public:
  using EngineLanguageModel::EngineLanguageModel;
  std::string fingerprint() override {
    const std::lock_guard lock(mutex_);
    return EngineLanguageModel::fingerprint();
  }

 private:
  std::mutex mutex_;
};

}  // namespace lectern
