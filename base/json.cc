#include "base/json.h"

#include <array>

#include "base/error.h"

namespace lectern {
namespace {

enum class Bounds { kDepth, kDepthAndKeys };

// Looks at what stands outside strings, and builds nothing.
void check_bounds(std::string_view text, const std::string& origin, Bounds bounds) {
  const auto refuse = [&](const std::string& why, size_t at) {
    throw Error(ErrorCode::kCorrupt, origin + ": " + why + " at byte " + std::to_string(at));
  };
  std::array<uint64_t, kMaxJsonDepth + 1> n_keys{};  // of the object that is open at each depth
  uint64_t comparisons = 0, values = 1;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth)
        refuse("JSON nested deeper than " + std::to_string(kMaxJsonDepth) + " levels", i);
      if (depth > 0) n_keys[static_cast<size_t>(depth)] = 0;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && bounds == Bounds::kDepthAndKeys) {
      if (++values > kMaxJsonValues) refuse("JSON of too many values", i);
    } else if (c == ':' && depth > 0 && bounds == Bounds::kDepthAndKeys) {
      comparisons += n_keys[static_cast<size_t>(depth)]++;
      if (comparisons > kMaxJsonKeyComparisons) refuse("JSON objects of too many keys", i);
    }
  }
}

[[noreturn]] void fail_at(size_t byte, const std::string& origin) {
  throw Error(ErrorCode::kCorrupt, origin + ": not valid JSON at byte " + std::to_string(byte));
}

// Turns the parser's events into visits with a path.
class PathKeeper : public nlohmann::json_sax<Json> {
 public:
  PathKeeper(JsonVisitor& visitor, const std::string& origin) : visitor_(visitor), origin_(origin) {}

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(INT64_MAX)) return scalar(static_cast<double>(value));
    return scalar(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool string(string_t& value) override { return scalar(std::string_view(value)); }
  bool binary(binary_t&) override { return false; }  // not in JSON text

  bool start_object(size_t) override { return begin(true); }
  bool start_array(size_t) override { return begin(false); }
  bool key(string_t& key) override {
    path_.back() = key;
    return true;
  }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(size_t byte, const std::string&, const nlohmann::detail::exception&) override {
    fail_at(byte, origin_);
  }

 private:
  bool scalar(const JsonScalar& value) {
    visitor_.scalar(path_, value);
    return true;
  }
  bool begin(bool is_object) {
    visitor_.begin(path_, is_object);
    path_.emplace_back();
    return true;
  }
  bool end() {
    path_.pop_back();
    visitor_.end(path_);
    return true;
  }

  JsonVisitor& visitor_;
  const std::string& origin_;
  JsonVisitor::Path path_;
};

}  // namespace

void visit_json(std::string_view text, const std::string& origin, JsonVisitor& visitor) {
  check_bounds(text, origin, Bounds::kDepth);
  PathKeeper events(visitor, origin);
  Json::sax_parse(text.begin(), text.end(), &events);
}

Json parse_json(std::string_view text, const std::string& origin) {
  check_bounds(text, origin, Bounds::kDepthAndKeys);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& error) {
    fail_at(error.byte, origin);
  } catch (const Json::exception&) {
    throw Error(ErrorCode::kCorrupt, origin + ": holds a number beyond the range of a double");
  }
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

namespace {

// Recurses as deep as the value does, which parse_json bounds.
void append_spaced(const Json& value, std::string& out) {
  if (!value.is_structured() || value.empty()) {
    out += dump_json(value);
    return;
  }
  const bool is_object = value.is_object();
  const char* separator = is_object ? "{" : "[";
  for (const auto& [key, item] : value.items()) {
    out += separator;
    if (is_object) out.append(dump_json(Json(key))).append(": ");
    append_spaced(item, out);
    separator = ", ";
  }
  out += is_object ? '}' : ']';
}

}  // namespace

std::string dump_json_spaced(const Json& value) {
  std::string out;
  append_spaced(value, out);
  return out;
}

}  // namespace lectern
