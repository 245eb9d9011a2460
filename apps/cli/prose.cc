#include "apps/cli/prose.h"

#include <unordered_set>

#include "base/error.h"

namespace lectern {
namespace {

constexpr const char* kWho[] = {
    "The lighthouse keeper", "A young carpenter", "The harbour master", "My neighbour's aunt",
    "The night nurse",       "An old surveyor",   "The choir",          "A travelling baker"};
constexpr const char* kDid[] = {"mended", "wrote about", "asked for", "forgot", "carried home",
                                "drew",   "spoke of",    "sold",      "painted"};
constexpr const char* kWhat[] = {
    "the torn sails",        "a map of the marshes",       "three baskets of eels", "the bell of the chapel",
    "a letter from the sea", "the garden behind the mill", "some honest advice",    "the long wooden bridge"};
constexpr const char* kWhen[] = {
    "before the snow came",      "on the way to the market",      "while the others slept",
    "in the year of the flood",  "because nobody else would",     "as soon as the tide turned",
    "to the surprise of us all", "after the last train had gone", "without a word of complaint"};

constexpr const char* kQualities[] = {
    "quiet",  "bright", "hollow",  "gentle",  "narrow",  "ancient", "curious", "heavy",  "sudden",  "pale",
    "clever", "frozen", "humble",  "crooked", "eager",   "faded",   "golden",  "hidden", "idle",    "jolly",
    "lonely", "mellow", "noble",   "orange",  "patient", "rapid",   "silent",  "tender", "unusual", "velvet",
    "wicked", "yellow", "zealous", "bitter",  "distant", "fierce",  "lucky",   "modest", "proud",   "sturdy"};
constexpr const char* kStuffs[] = {"copper",  "linen", "marble",  "cedar",  "amber",  "paper",  "silver",
                                   "walnut",  "ivory", "granite", "cotton", "bronze", "willow", "crystal",
                                   "leather", "clay",  "pearl",   "bamboo", "steel",  "velour"};
constexpr const char* kThings[] = {
    "lantern", "anchor",  "basket",  "bridge",  "candle", "castle",   "compass", "engine",
    "feather", "garden",  "hammer",  "island",  "jacket", "kettle",   "ladder",  "mirror",
    "needle",  "orchard", "pencil",  "quarry",  "ribbon", "saddle",   "temple",  "umbrella",
    "violin",  "wagon",   "blanket", "chimney", "drawer", "fountain", "gallery", "harvest",
    "journal", "kitchen", "library", "market",  "pillow", "station",  "ticket",  "window"};

}  // namespace

std::string Prose::sentence() {
  // One after the other: a program may evaluate the operands of one + in any order.
  std::string text = kWho[below(std::size(kWho))];
  text += std::string(" ") + kDid[below(std::size(kDid))];
  text += std::string(" ") + kWhat[below(std::size(kWhat))];
  text += std::string(" ") + kWhen[below(std::size(kWhen))];
  return text + ".";
}

std::vector<std::string> Prose::names(size_t n) {
  constexpr size_t kPairs = std::size(kQualities) * std::size(kThings);
  static_assert(kPairs * std::size(kStuffs) >= 2 * kMaxNames, "names are drawn until a new one comes");
  LECTERN_CHECK(n <= kMaxNames);
  std::unordered_set<std::string> known;
  std::vector<std::string> names;
  while (names.size() < n) {
    std::string name = kQualities[below(std::size(kQualities))];
    if (names.size() >= kPairs / 2) name += std::string("-") + kStuffs[below(std::size(kStuffs))];
    name += std::string("-") + kThings[below(std::size(kThings))];
    if (known.insert(name).second) names.push_back(std::move(name));
  }
  shuffle(names);
  return names;
}

}  // namespace lectern
