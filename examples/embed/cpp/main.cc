// Asks the documents of a folder, and streams the answer with its citations.
//     cmake -B build && cmake --build build && build/ask ../../notes "When were the runner beans sown?"
// With --search in front it lists the best passages instead, which needs no model.
#include <iostream>
#include <lectern.hpp>
#include <string>
#include <vector>

namespace lectern = lectern_cpp;

static void search(const lectern::Collection& collection, const std::string& query) {
  const lectern::Hits hits = collection.search(query);
  for (size_t i = 0; i < hits->n_hits; ++i) {
    const lectern_passage& passage = *hits->hits[i]->passage;
    std::cout << passage.path << ":" << passage.line_first << "  " << passage.heading << "\n";
  }
}

static void ask(const lectern::Collection& collection, const std::string& question, const std::string& name) {
  const auto model = lectern::Model::load(name);
  lectern::AskOptions options;
  options.on_text = [](std::string_view text) { return bool(std::cout << text << std::flush); };
  const lectern::Answer answer = model.ask(collection, question, options);
  std::cout << "\n\n";
  for (size_t i = 0; i < answer->n_citations; ++i) {
    const lectern_citation& citation = *answer->citations[i];
    std::cout << "[" << citation.number << "] " << citation.passage->path << ": \"" << citation.quote
              << "\"\n";
  }
}

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const bool only_search = !words.empty() && words.front() == "--search";
  if (only_search) words.erase(words.begin());
  if (words.size() < 2 || words.size() > 3) {
    std::cerr << "usage: ask [--search] FOLDER QUESTION [MODEL]\n";
    return 2;
  }
  try {
    auto collection = lectern::Collection::open_folder(words[0]);
    collection.index();
    if (only_search) {
      search(collection, words[1]);
    } else {
      ask(collection, words[1], words.size() > 2 ? words[2] : "");
    }
    return 0;
  } catch (const lectern::Error& error) {
    std::cerr << "ask: " << error.what() << "\n";
    return 1;
  }
}
