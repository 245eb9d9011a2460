// Which requests are about whole documents, and about which.
#include "agent/whole_request.h"

#include "tests/support/catch.h"

namespace lectern {
namespace {

std::vector<DocumentName> library() {
  return {{1, "contracts/lease-2019.pdf", "Lease of Mill Lane 4"},
          {2, "contracts/lease-2024.pdf", "Lease of Mill Lane 4, renewed"},
          {3, "notes/harrow-mill.md", "Harrow Mill"},
          {4, "notes/harrow-mill-pump-house.md", "Harrow Mill pump house"},
          {5, "书/红楼梦.txt", "红楼梦"},
          {6, "书/西游记.txt", "西游记"},
          {7, "notes/notes.md", "Notes"},
          {8, "notes/people.txt", ""}};
}

WholeRequest ask(std::string_view request) {
  return whole_request(request, library);
}

}  // namespace

TEST_CASE("requests about whole documents are recognised") {
  const std::pair<const char*, WholeTask> cases[] = {
      {"Summarise this book", WholeTask::kSummary},
      {"Please summarize the report in five sentences.", WholeTask::kSummary},
      {"Can you give me a short summary of these documents?", WholeTask::kSummary},
      {"Write a summary.", WholeTask::kSummary},
      {"I need an overview of all my notes", WholeTask::kSummary},
      {"Give an overview of the whole collection", WholeTask::kSummary},
      {"Sum up the long annual report", WholeTask::kSummary},
      {"What is this book about?", WholeTask::kSummary},
      {"What are these papers all about?", WholeTask::kSummary},
      {"What are the main points of the document?", WholeTask::kSummary},
      {"What are the most important findings in these reports?", WholeTask::kSummary},
      {"TL;DR", WholeTask::kSummary},
      {"Summarise it", WholeTask::kSummary},
      {"Summarise everything in German", WholeTask::kSummary},
      {"List all people mentioned in the letters", WholeTask::kList},
      {"List every date", WholeTask::kList},
      {"Give me a complete list of all characters in this novel", WholeTask::kList},
      {"Find all deadlines in these contracts", WholeTask::kList},
      {"Compare the two contracts", WholeTask::kCompare},
      {"Compare and contrast these reports", WholeTask::kCompare},
      {"What are the differences between the two agreements?", WholeTask::kCompare},
      {"How do these papers differ?", WholeTask::kCompare},
      {"总结这本书", WholeTask::kSummary},
      {"请帮我总结一下这份报告", WholeTask::kSummary},
      {"概括全文", WholeTask::kSummary},
      {"概述这些文档的主要内容", WholeTask::kSummary},
      {"请写一份这份报告的摘要", WholeTask::kSummary},
      {"这本书讲了什么？", WholeTask::kSummary},
      {"这篇文章的主要内容是什么？", WholeTask::kSummary},
      {"列出所有人名", WholeTask::kList},
      {"请列出文中提到的所有地点", WholeTask::kList},
      {"列举书中出现的全部人物", WholeTask::kList},
      {"比较这两份合同", WholeTask::kCompare},
      {"对比一下这两份报告的异同", WholeTask::kCompare},
      {"这两份合同有什么区别？", WholeTask::kCompare},
  };
  for (const auto& [request, task] : cases) {
    CAPTURE(request);
    CHECK(to_string(ask(request).task) == to_string(task));
  }
}

TEST_CASE("questions that a few passages answer are left to retrieval") {
  for (const char* request : {
           "What does the summary say about rent?",
           "Who wrote the summary of the report?",
           "Summarise what the report says about runner beans",
           "Summarise the report's second chapter",
           "Summarise the history of the clock tower",
           "Give me an overview of the French Revolution",
           "Give me a summary of the findings on bees in the report",
           "Compare the dates of the two floods",
           "Compare the notice periods in the contracts",
           "Compare Beethoven and Mozart",
           "What is the difference between a barrow and a cairn?",
           "How do bees and wasps differ?",
           "List the three causes of the fire",
           "List all three causes of the fire",
           "List all ingredients of the rye bread recipe",
           "Name the engineer",
           "What are the main ingredients of the bread?",
           "What is the bridge about to become?",
           "How many books are there?",
           "When was the book written?",
           "Which report lists all members?",
           "What is the outline of the roof made of?",
           "摘要里关于租金说了什么？",
           "总结报告是谁写的？",
           "这份报告的作者是谁？",
           "比较两次洪水的日期",
           "蜜蜂和黄蜂有什么区别？",
           "列出火灾的三个原因",
           "云岭茶园是谁创办的？",
           "总结关于租金的规定",
           "",
           "   ",
       }) {
    CAPTURE(request);
    CHECK(to_string(ask(request).task) == "none");
  }
}

TEST_CASE("the named documents are meant, else all") {
  using Ids = std::vector<int64_t>;
  const std::pair<const char*, Ids> cases[] = {
      {"Summarise this book", {}},
      {"Summarise lease-2019.pdf", {1}},
      {"Summarise the file harrow-mill-pump-house", {4}},
      {"Give me a summary of Harrow Mill", {3}},
      {"Summarise \"Harrow Mill pump house\" in two sentences", {4}},
      {"Compare lease-2024 and lease-2019", {2, 1}},
      {"What are the differences between Harrow Mill and Harrow Mill pump house?", {3, 4}},
      {"List all people in Harrow Mill pump house", {4}},
      {"List all the people who are mentioned in the documents", {}},
      {"总结旅行文件夹里的笔记", {}},
      {"Summarise my notes", {}},
      {"总结《红楼梦》", {5}},
      {"比较红楼梦和西游记", {5, 6}},
      {"红楼梦讲了什么？", {5}},
      {"西游记与红楼梦有什么不同？", {6, 5}},
  };
  for (const auto& [request, documents] : cases) {
    CAPTURE(request);
    const WholeRequest whole = ask(request);
    CHECK(whole.task != WholeTask::kNone);
    CHECK(whole.documents == documents);
  }
}

TEST_CASE("a name in a question about something of the document does not make it one about the whole") {
  for (const char* request :
       {"Summarise the floods of Harrow Mill", "Compare the rents in lease-2019 and lease-2024",
        "Compare lease-2019 with the law", "红楼梦的作者是谁？"}) {
    CAPTURE(request);
    CHECK(to_string(ask(request).task) == "none");
  }
}

TEST_CASE("names are looked up only for a request of that form") {
  int looked_up = 0;
  const auto names = [&] {
    ++looked_up;
    return library();
  };
  whole_request("When was Harrow Mill built?", names);
  CHECK(looked_up == 0);
  whole_request("Summarise Harrow Mill", names);
  CHECK(looked_up == 1);
}

}  // namespace lectern
