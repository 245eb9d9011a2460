// What the handles of lectern.h hold.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apps/common/shared_language_model.h"
#include "engine/engine.h"
#include "include/lectern.h"
#include "retrieval/collection.h"

struct lectern_model {
  std::string name, description;
  std::unique_ptr<lectern::Engine> engine;
  std::unique_ptr<lectern::SharedLanguageModel> language_model;
};

struct lectern_collection {
  std::filesystem::path path;                  // of the database; empty: in memory
  std::filesystem::path identity;              // the same, whatever it was called
  std::vector<std::filesystem::path> folders;  // that it was opened for
  std::unique_ptr<lectern::Collection> collection;
  std::mutex writing;
};
