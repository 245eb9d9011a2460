#include "agent/remote_server.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <vector>

#include "agent/remote_reply.h"
#include "base/ascii.h"
#include "base/error.h"

namespace lectern {
namespace {

constexpr size_t kMaxNamesShown = 10;

// How servers call the window in an entry of /models: vLLM, then routers and hosts.
constexpr const char* kContextFields[] = {"max_model_len", "context_length", "context_window",
                                          "max_context_length"};

// The reply to an optional question; null when the server does not have it.
Json ask(RemoteHttp& http, const HttpRequest& request, const CancelToken& cancel) {
  const HttpReply reply = http.send(request, {}, cancel);
  if (reply.status == 401 || reply.status == 403) throw_http_error(http, request, reply);
  if (reply.status != 200) return nullptr;
  try {
    return parse_json(reply.body, http.shown_url(request));
  } catch (const Error&) {
    return nullptr;  // such as the start page of another kind of server
  }
}

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kMaxNamesShown); ++i)
    out += (i > 0 ? ", " : "") + names[i].substr(0, 100);
  if (names.size() > kMaxNamesShown) out += ", ...";
  return out;
}

bool says_too_long(std::string text) {
  text = ascii_lower(std::move(text));
  const auto has = [&](const char* word) { return text.find(word) != std::string::npos; };
  return has("context") && (has("length") || has("window") || has("size") || has("exceed"));
}

}  // namespace

RemoteModelInfo ask_about_model(RemoteHttp& http, const std::string& model, const CancelToken& cancel) {
  const HttpRequest list_request{.path = "/models", .body = {}, .is_probe = true};
  const Json list = ask(http, list_request, cancel);
  std::vector<std::string> names;
  const Json* entry = nullptr;
  for (const Json& item : field(list, "data")) {
    names.push_back(text_of(field(item, "id")));
    if (names.back() == model) entry = &item;
  }
  RemoteModelInfo info{.name = model};
  if (model.empty()) {
    if (names.size() != 1 || names[0].empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  http.shown_url(list_request) +
                      (names.empty() ? ": the server does not tell which models it has"
                                     : ": the server has several models: " + http.said(list_of(names))) +
                      "; choose one with --llm-model NAME");
    }
    info.name = names[0];
  }
  // A server of one model serves it under any name.
  if (entry == nullptr && names.size() == 1) entry = &element(field(list, "data"), 0);

  const Json props = ask(http, {.path = "/props", .body = {}, .from_root = true, .is_probe = true}, cancel);
  info.context_tokens =
      static_cast<int>(number_of(field(field(props, "default_generation_settings"), "n_ctx")));
  if (entry != nullptr) {
    for (const char* name : kContextFields) {
      if (info.context_tokens <= 0) info.context_tokens = static_cast<int>(number_of(field(*entry, name)));
    }
    const Json& parameters = field(field(*entry, "meta"), "n_params");
    if (parameters.is_number()) info.billion_parameters = parameters.get<double>() * 1e-9;
  }
  if (info.context_tokens < 0) info.context_tokens = 0;
  if (!(info.billion_parameters > 0)) info.billion_parameters = billions_in_name(info.name);
  return info;
}

double billions_in_name(const std::string& name) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 0; i < name.size(); ++i) {
    const bool inside = i > 0 && (is_digit(name[i - 1]) || name[i - 1] == '.');
    if (!is_digit(name[i]) || inside) continue;
    double value = 0;
    const auto [end, error] =
        std::from_chars(name.data() + i, name.data() + name.size(), value, std::chars_format::fixed);
    const auto at = static_cast<size_t>(end - name.data());
    if (error != std::errc() || at >= name.size() || (name[at] != 'b' && name[at] != 'B')) continue;
    const char next = at + 1 < name.size() ? name[at + 1] : '-';
    if (value > 0 && value < 10000 && !std::isalnum(static_cast<unsigned char>(next))) return value;
  }
  return 0;
}

bool is_refusal(const HttpReply& reply) {
  const int status = reply.status;
  return status == 400 || status == 415 || status == 422 || status == 500 || status == 501;
}

void throw_http_error(const RemoteHttp& http, const HttpRequest& request, const HttpReply& reply) {
  std::string said = reply.body;
  try {
    const Json body = parse_json(reply.body, "");
    const Json& error = field(body, "error");
    for (const std::string& text : {text_of(field(error, "message")), text_of(error),
                                    text_of(field(body, "message")), text_of(field(body, "detail"))}) {
      if (text.empty()) continue;
      said = text;
      break;
    }
  } catch (const Error&) {
    // not JSON: shown as it is
  }
  said = http.said(said);
  const std::string begin = http.shown_url(request) + ": the server answers " + std::to_string(reply.status) +
                            (said.empty() ? "" : ": " + said) + "; ";
  switch (reply.status) {
    case 401:
    case 403:
      throw Error(ErrorCode::kUnavailable,
                  begin + "set the key in LECTERN_LLM_API_KEY or give its file with --llm-key-file");
    case 404:
      throw Error(ErrorCode::kNotFound, begin + "correct --llm (it ends in /v1 as a rule) or --llm-model");
    case 429:
      throw Error(ErrorCode::kUnavailable, begin + "wait, or look at the limits of your account");
    default:
      break;
  }
  if (reply.status == 413 || (reply.status < 500 && says_too_long(said))) {
    throw Error(ErrorCode::kResourceExhausted, begin + "state the model's real window with --llm-context N");
  }
  if (reply.status >= 300 && reply.status < 400)
    throw Error(ErrorCode::kUnavailable, begin + "give the URL that it leads to with --llm");
  throw Error(ErrorCode::kUnavailable, begin + "look at the server's own log");
}

}  // namespace lectern
