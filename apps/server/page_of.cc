#include "apps/server/page_of.h"

#include <algorithm>
#include <charconv>

namespace lectern::server {

Json page_of(const Call& call, std::vector<Json> items, size_t default_limit, size_t max_limit) {
  const auto given = [&](const char* name) {
    return call.request.has_param(name) ? call.request.get_param_value(name) : std::string();
  };
  size_t limit = default_limit;
  if (call.request.has_param("limit")) {
    const std::string text = given("limit");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > max_limit)
      throw HttpError(400, "limit must be a whole number from 1 to " + std::to_string(max_limit),
                      "invalid_value", "limit");
  }
  const std::string order = given("order");
  if (!order.empty() && order != "asc" && order != "desc")
    throw HttpError(400, "order is asc or desc", "invalid_value", "order");
  if (order != "asc") std::reverse(items.begin(), items.end());
  const auto place_of = [&](const char* name) {
    const std::string id = given(name);
    const auto at =
        std::find_if(items.begin(), items.end(), [&](const Json& item) { return item["id"] == id; });
    if (!id.empty() && at == items.end())
      throw HttpError(400, std::string(name) + " is not the id of an item in this list", "invalid_value",
                      name);
    return id.empty() ? items.end() : at;
  };
  const auto before = place_of("before");
  auto first = place_of("after");
  first = first == items.end() ? items.begin() : std::next(first);
  auto last = before;
  if (static_cast<size_t>(std::max<std::ptrdiff_t>(0, last - first)) > limit) {
    // Of those before an item the nearest are meant.
    if (before != items.end() && given("after").empty()) {
      first = last - static_cast<std::ptrdiff_t>(limit);
    } else {
      last = first + static_cast<std::ptrdiff_t>(limit);
    }
  }
  Json data = Json::array();
  for (auto at = first; at < last; ++at) data.push_back(std::move(*at));
  const bool backwards = before != items.end() && given("after").empty();
  const bool has_more = backwards ? first != items.begin() : last < items.end() && last >= first;
  const auto id_of = [](const Json& item) { return item["id"]; };
  const Json first_id = data.empty() ? Json(nullptr) : id_of(data.front());
  const Json last_id = data.empty() ? Json(nullptr) : id_of(data.back());
  return {{"object", "list"},
          {"data", std::move(data)},
          {"first_id", first_id},
          {"last_id", last_id},
          {"has_more", has_more}};
}

}  // namespace lectern::server
