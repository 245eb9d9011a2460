// A request to /v1/responses, checked: the conversation, the tools, and what the reply repeats of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/server/chat_job.h"

namespace lectern::server {

struct ResponseRequest {
  ChatJob job;                     // ready for PreparedChat
  std::vector<ChatMessage> turns;  // without the instructions: what a later response goes on from
  Json echo = Json::object();      // fields of the request that belong to the response
  bool searches = false;           // with the file_search tool
  bool with_results = false;       // file_search_call.results
  bool stream = false, store = true;
};

// `earlier`: the turns of previous_response_id. Throws HttpError(400, 404) that names the field.
ResponseRequest read_response_request(Service& service, const Fields& fields,
                                      std::vector<ChatMessage> earlier);

}  // namespace lectern::server
