// lectern.h for C++17: handles and results free themselves, failures throw, callbacks are std::functions.
//
//     namespace lectern = lectern_cpp;
//     auto notes = lectern::Collection::open_folder("notes");
//     notes.index();
//     auto model = lectern::Model::load();
//     std::cout << model.ask(notes, "When were the beans sown?")->text << "\n";
//
// Results are owning pointers to the structs of lectern.h. Threads: as there. The namespace is lectern_cpp
// because the library's own C++ lives in `lectern`, where names like Collection mean other classes: a program
// that is built with Lectern's sources can include both. Everything is inline, so the ABI is that of C.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "lectern.h"

namespace lectern_cpp {

class Error : public std::runtime_error {
 public:
  Error(int status, const std::string& message) : std::runtime_error(message), status_(status) {}
  int status() const noexcept { return status_; }  // enum lectern_status

 private:
  int status_;
};

// Each returns true to go on. What one throws stops the call, which then throws it.
using TextFn = std::function<bool(std::string_view)>;
using StepFn = std::function<bool(const lectern_step&)>;
using ProgressFn = std::function<bool(const lectern_progress&)>;

namespace detail {

inline void check(int status) {
  if (status != LECTERN_OK) throw Error(status, lectern_last_error());
}

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* made) const noexcept {
    free(made);
  }
};
template <typename T, auto free>
using Owned = std::unique_ptr<T, Free<free>>;

// The callbacks of one call, and what one of them threw: it must not pass through the library.
class Callbacks {
 public:
  Callbacks(const TextFn* text, const StepFn* step, const ProgressFn* progress)
      : text_(text), step_(step), progress_(progress) {}

  template <typename Options>
  void put_text(Options& options) {
    if (text_ == nullptr || !*text_) return;
    options.user_data = this;
    options.on_text = [](const char* text, size_t n, void* self) {
      return static_cast<Callbacks*>(self)->stops(*static_cast<Callbacks*>(self)->text_,
                                                  std::string_view(text, n));
    };
  }
  template <typename Options>
  void put_step(Options& options) {
    if (step_ == nullptr || !*step_) return;
    options.user_data = this;
    options.on_step = [](const lectern_step* step, void* self) {
      return static_cast<Callbacks*>(self)->stops(*static_cast<Callbacks*>(self)->step_, *step);
    };
  }
  template <typename Options>
  void put_progress(Options& options) {
    if (progress_ == nullptr || !*progress_) return;
    options.user_data = this;
    options.on_progress = [](const lectern_progress* progress, void* self) {
      return static_cast<Callbacks*>(self)->stops(*static_cast<Callbacks*>(self)->progress_, *progress);
    };
  }

  // After the call, once its result is owned.
  void check(int status) const {
    if (thrown_) std::rethrow_exception(thrown_);
    detail::check(status);
  }

 private:
  template <typename Function, typename Argument>
  int stops(const Function& function, const Argument& argument) noexcept {
    if (thrown_) return 1;
    try {
      return function(argument) ? 0 : 1;
    } catch (...) {
      thrown_ = std::current_exception();
      return 1;
    }
  }

  const TextFn* text_;
  const StepFn* step_;
  const ProgressFn* progress_;
  std::exception_ptr thrown_;
};

}  // namespace detail

using Models = detail::Owned<const lectern_models, lectern_models_free>;
using IndexReport = detail::Owned<const lectern_index_report, lectern_index_report_free>;
using Documents = detail::Owned<const lectern_documents, lectern_documents_free>;
using Text = detail::Owned<const lectern_text, lectern_text_free>;
using Stats = detail::Owned<const lectern_stats, lectern_stats_free>;
using Hits = detail::Owned<const lectern_hits, lectern_hits_free>;
using Answer = detail::Owned<const lectern_answer, lectern_answer_free>;
using Reply = detail::Owned<const lectern_reply, lectern_reply_free>;

// Options: the fields of lectern.h, all 0 to begin with; the callbacks hide those of C. Pointers in them are
// borrowed until the call returns.
template <typename Fields>
struct Options : Fields {
  Options() : Fields{} { this->struct_size = sizeof(Fields); }
};
using SearchOptions = Options<lectern_search_options>;
struct PullOptions : Options<lectern_pull_options> {
  ProgressFn on_progress;
};
struct ModelOptions : Options<lectern_model_options> {
  ProgressFn on_progress;
};
struct IndexOptions : Options<lectern_index_options> {
  ProgressFn on_progress;
};
struct AskOptions : Options<lectern_ask_options> {
  TextFn on_text;
  StepFn on_step;
  ProgressFn on_progress;
};
struct GenerateOptions : Options<lectern_generate_options> {
  TextFn on_text;
};

class Cancel {
 public:
  Cancel() {
    lectern_cancel* made = nullptr;
    detail::check(lectern_cancel_create(&made));
    handle_.reset(made);
  }
  void set() noexcept { lectern_cancel_set(handle_.get()); }
  bool is_set() const noexcept { return lectern_cancel_is_set(handle_.get()) != 0; }
  const lectern_cancel* get() const noexcept { return handle_.get(); }

 private:
  detail::Owned<lectern_cancel, lectern_cancel_free> handle_;
};

class Collection {
 public:
  static Collection open(const std::string& path) {
    lectern_collection* made = nullptr;
    detail::check(lectern_collection_open(path.c_str(), &made));
    return Collection(made);
  }
  static Collection open_folder(const std::string& folder) {
    lectern_collection* made = nullptr;
    detail::check(lectern_collection_open_folder(folder.c_str(), &made));
    return Collection(made);
  }
  static Collection open_memory() {
    lectern_collection* made = nullptr;
    detail::check(lectern_collection_open_memory(&made));
    return Collection(made);
  }
  static void erase(const std::string& path) { detail::check(lectern_collection_delete(path.c_str())); }

  // `paths` go before those of the options.
  IndexReport index(const std::vector<std::string>& paths = {}, const IndexOptions& options = {}) {
    lectern_index_options fields = options;
    std::vector<const char*> names;
    for (const std::string& path : paths) names.push_back(path.c_str());
    names.insert(names.end(), options.paths, options.paths + options.n_paths);
    fields.paths = names.data();
    fields.n_paths = names.size();
    detail::Callbacks callbacks(nullptr, nullptr, &options.on_progress);
    callbacks.put_progress(fields);
    const lectern_index_report* made = nullptr;
    const int status = lectern_collection_index(get(), &fields, &made);
    IndexReport report(made);
    callbacks.check(status);
    return report;
  }
  // The document's id. `format` "": what the path and the bytes say.
  int64_t add(const std::string& path, std::string_view bytes, const std::string& format = "") {
    int64_t id = 0;
    detail::check(lectern_collection_add(get(), path.c_str(), bytes.data(), bytes.size(),
                                         format.empty() ? nullptr : format.c_str(), &id));
    return id;
  }
  int remove(const std::string& path) {
    int n = 0;
    detail::check(lectern_collection_remove(get(), path.c_str(), &n));
    return n;
  }

  Documents documents() const {
    const lectern_documents* made = nullptr;
    detail::check(lectern_collection_documents(get(), &made));
    return Documents(made);
  }
  Text text(int64_t document_id, uint64_t begin = 0, uint64_t end = UINT64_MAX) const {
    const lectern_text* made = nullptr;
    detail::check(lectern_collection_text(get(), document_id, begin, end, &made));
    return Text(made);
  }
  Stats stats() const {
    const lectern_stats* made = nullptr;
    detail::check(lectern_collection_stats(get(), &made));
    return Stats(made);
  }
  Hits search(const std::string& query, const SearchOptions& options = {}) const {
    const lectern_hits* made = nullptr;
    detail::check(lectern_search(get(), query.c_str(), &options, &made));
    return Hits(made);
  }

  lectern_collection* get() const noexcept { return handle_.get(); }

 private:
  explicit Collection(lectern_collection* made) : handle_(made) {}
  detail::Owned<lectern_collection, lectern_collection_free> handle_;
};

struct Message {
  std::string role;  // "user", "assistant", "system"
  std::string text;
};

class Model {
 public:
  // "": the default model.
  static Model load(const std::string& id_or_path = "", const ModelOptions& options = {}) {
    lectern_model_options fields = options;
    detail::Callbacks callbacks(nullptr, nullptr, &options.on_progress);
    callbacks.put_progress(fields);
    lectern_model* made = nullptr;
    const int status = lectern_model_load(id_or_path.empty() ? nullptr : id_or_path.c_str(), &fields, &made);
    Model model(made);
    callbacks.check(status);
    return model;
  }

  const char* name() const noexcept { return lectern_model_name(get()); }
  const char* description() const noexcept { return lectern_model_description(get()); }
  int context_tokens() const noexcept { return lectern_model_context_tokens(get()); }

  Answer ask(const Collection& collection, const std::string& question,
             const AskOptions& options = {}) const {
    lectern_ask_options fields = options;
    detail::Callbacks callbacks(&options.on_text, &options.on_step, &options.on_progress);
    callbacks.put_text(fields);
    callbacks.put_step(fields);
    callbacks.put_progress(fields);
    const lectern_answer* made = nullptr;
    const int status = lectern_ask(get(), collection.get(), question.c_str(), &fields, &made);
    Answer answer(made);
    callbacks.check(status);
    return answer;
  }
  Reply generate(const std::vector<Message>& messages, const GenerateOptions& options = {}) const {
    std::vector<lectern_message> borrowed;
    for (const Message& message : messages) borrowed.push_back({message.role.c_str(), message.text.c_str()});
    lectern_generate_options fields = options;
    detail::Callbacks callbacks(&options.on_text, nullptr, nullptr);
    callbacks.put_text(fields);
    const lectern_reply* made = nullptr;
    const int status = lectern_generate(get(), borrowed.data(), borrowed.size(), &fields, &made);
    Reply reply(made);
    callbacks.check(status);
    return reply;
  }

  lectern_model* get() const noexcept { return handle_.get(); }

 private:
  explicit Model(lectern_model* made) : handle_(made) {}
  detail::Owned<lectern_model, lectern_model_free> handle_;
};

inline Models models() {
  const lectern_models* made = nullptr;
  detail::check(lectern_models_list(&made));
  return Models(made);
}

// "": the default model.
inline void pull(const std::string& id = "", const PullOptions& options = {}) {
  lectern_pull_options fields = options;
  detail::Callbacks callbacks(nullptr, nullptr, &options.on_progress);
  callbacks.put_progress(fields);
  callbacks.check(lectern_pull(id.empty() ? nullptr : id.c_str(), &fields));
}

}  // namespace lectern_cpp
