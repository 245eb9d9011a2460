/* Models: listing, loading, replies, answers, and how they are stopped. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"

void models_are_listed(void) {
  const lectern_models* models = NULL;
  CHECK_OK(lectern_models_list(&models));
  int n_default = 0;
  for (size_t i = 0; i < models->n_models; ++i) {
    const lectern_model_info* info = models->models[i];
    CHECK(strlen(info->id) > 0 && strlen(info->title) > 0 && strlen(info->licence) > 0);
    CHECK(info->context_tokens > 0 && (info->installed != 0) == (strlen(info->path) > 0));
    n_default += info->is_default;
  }
  CHECK(n_default == 1);
  lectern_models_free(models);

  lectern_pull_options options = {.struct_size = sizeof options, .offline = 1};
  CHECK_STATUS(LECTERN_NOT_FOUND, "no-such-model", lectern_pull("no-such-model", &options));
  const lectern_models* again = NULL;
  CHECK_OK(lectern_models_list(&again)); /* the folder of models is empty here */
  CHECK(lectern_pull(again->models[0]->id, &options) != LECTERN_OK);
  CHECK(strstr(lectern_last_error(), again->models[0]->id) != NULL);
  lectern_models_free(again);
  options.source = "a-friend";
  CHECK_REFUSED("source", lectern_pull(NULL, &options));
}

static int stop_loading(const lectern_progress* progress, void* n_calls) {
  (void)progress;
  ++*(int*)n_calls;
  return 1;
}

void models_that_cannot_be_loaded(const char* good) {
  lectern_model* model = NULL;
  CHECK_STATUS(LECTERN_NOT_FOUND, "no-such-model", lectern_model_load("no-such-model", NULL, &model));
  CHECK_STATUS(LECTERN_NOT_FOUND, "x.gguf", lectern_model_load("/no/such/x.gguf", NULL, &model));
  char path[4096];
  write_file(in_folder("noise.gguf", path, sizeof path), "GGUF\3\0\0\0\377\377\377\377\377\377\377\177", 16);
  CHECK_STATUS(LECTERN_CORRUPT, "noise.gguf", lectern_model_load(path, NULL, &model));
  FILE* file = fopen(good, "rb");
  char* bytes = malloc(40000);
  CHECK(file != NULL && bytes != NULL && fread(bytes, 1, 40000, file) == 40000);
  if (file != NULL) fclose(file);
  write_file(in_folder("cut.gguf", path, sizeof path), bytes, 40000); /* the weights are missing */
  free(bytes);
  CHECK_STATUS(LECTERN_CORRUPT, "cut.gguf", lectern_model_load(path, NULL, &model));
  CHECK(model == NULL);
  lectern_model_options options = {.struct_size = sizeof options, .kv_type = "f12"};
  CHECK_REFUSED("f12", lectern_model_load(good, &options, &model));
  options.kv_type = NULL;
  options.device = "gpu";
  CHECK_REFUSED("device 'gpu'", lectern_model_load(good, &options, &model));
  options.device = "cuda:90";
  CHECK_STATUS(LECTERN_UNAVAILABLE, "no CUDA device 90", lectern_model_load(good, &options, &model));
  options.device = "cpu";
  options.threads = -1;
  CHECK_REFUSED("", lectern_model_load(good, &options, &model));
  options.threads = 0;
  options.context_tokens = -5;
  CHECK_REFUSED("", lectern_model_load(good, &options, &model));
  options.context_tokens = 0;
  lectern_cancel* cancel = NULL;
  CHECK_OK(lectern_cancel_create(&cancel));
  lectern_cancel_set(cancel);
  options.cancel = cancel;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_model_load(good, &options, &model));
  CHECK(model == NULL);
  lectern_cancel_free(cancel);
  /* A callback stops at the matrix at hand, not after the last. */
  int n_calls = 0;
  options.cancel = NULL;
  options.on_progress = stop_loading;
  options.user_data = &n_calls;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_model_load(good, &options, &model));
  CHECK(model == NULL && n_calls == 1);
}

struct heard {
  char text[4096];
  size_t n;
  int n_calls, stop_after; /* 0: never */
  lectern_cancel* cancel;  /* set instead of stopping */
  int n_steps, stop_after_steps;
};

static int hear(const char* text, size_t n, void* user_data) {
  struct heard* heard = user_data;
  CHECK(strlen(text) == n || memchr(text, 0, n) != NULL);
  if (heard->n + n < sizeof heard->text) memcpy(heard->text + heard->n, text, n);
  heard->n += n;
  ++heard->n_calls;
  if (heard->n_calls != heard->stop_after) return 0;
  if (heard->cancel == NULL) return 7;
  lectern_cancel_set(heard->cancel);
  return 0;
}

void a_model_generates(lectern_model* model) {
  const lectern_message messages[] = {{"system", "Be brief."}, {"user", "Say something."}};
  struct heard heard = {.n = 0};
  lectern_generate_options options = {
      .struct_size = sizeof options, .max_tokens = 24, .on_text = hear, .user_data = &heard};
  const lectern_reply *first = NULL, *second = NULL;
  CHECK_OK(lectern_generate(model, messages, 2, &options, &first));
  CHECK(first != NULL && first->new_tokens >= 1 && first->prompt_tokens > 10);
  CHECK(heard.n == first->text_bytes && memcmp(heard.text, first->text, heard.n) == 0);
  CHECK_OK(lectern_generate(model, messages, 2, &options, &second)); /* the same again, partly from memory */
  CHECK(second->text_bytes == first->text_bytes && memcmp(first->text, second->text, first->text_bytes) == 0);
  CHECK(second->prompt_tokens == first->prompt_tokens && second->cached_prompt_tokens >= 0);
  size_t n = 1; /* the reply up to one of its letters, when that is what stops it */
  while (n < first->text_bytes && (first->text[n] <= ' ' || first->text[n] > '~')) ++n;
  const char letter[] = {first->text[n], '\0'};
  const char* const stop[] = {"never said", letter};
  options.stop = stop;
  options.n_stop = 2;
  lectern_reply_free(second);
  CHECK_OK(lectern_generate(model, messages, 2, &options, &second));
  CHECK(n < first->text_bytes && second->text_bytes <= n && !second->truncated);
  CHECK(memcmp(first->text, second->text, second->text_bytes) == 0);
  options.n_stop = 0;
  lectern_reply_free(first);
  lectern_reply_free(second);

  options.temperature = 1;
  options.top_k = 50;
  options.top_p = 0.9f;
  options.seed = 7;
  CHECK_OK(lectern_generate(model, messages, 2, &options, &first));
  CHECK_OK(lectern_generate(model, messages, 2, &options, &second)); /* the same seed */
  CHECK(second->text_bytes == first->text_bytes && memcmp(first->text, second->text, first->text_bytes) == 0);
  lectern_reply_free(first);
  lectern_reply_free(second);
  options.temperature = (float)strtod("nan", NULL);
  CHECK_REFUSED("temperature", lectern_generate(model, messages, 2, &options, &first));
  options.temperature = -1;
  CHECK_REFUSED("temperature", lectern_generate(model, messages, 2, &options, &first));
  options.temperature = 0;
  options.top_k = 0;
  options.top_p = 0;

  options.json_schema =
      "{\"type\":\"object\",\"properties\":{\"sown\":{\"type\":\"boolean\"}},"
      "\"required\":[\"sown\"],\"additionalProperties\":false}";
  options.max_tokens = 64;
  CHECK_OK(lectern_generate(model, messages, 2, &options, &first));
  CHECK(first->truncated || strstr(first->text, "true") != NULL || strstr(first->text, "false") != NULL);
  CHECK(strstr(first->text, "\"sown\"") != NULL && first->text[0] == '{');
  lectern_reply_free(first);
  options.json_schema = "{\"type\":";
  CHECK(lectern_generate(model, messages, 2, &options, &first) != LECTERN_OK && first == NULL);
  CHECK(strstr(lectern_last_error(), "json_schema") != NULL);
  options.json_schema = NULL;
  options.max_tokens = -1;
  CHECK_REFUSED("max_tokens", lectern_generate(model, messages, 2, &options, &first));
  const lectern_message nobody = {"wizard", "hello"};
  CHECK_REFUSED("wizard", lectern_generate(model, &nobody, 1, NULL, &first));
}

void a_reply_can_be_cancelled(lectern_model* model) {
  const lectern_message message = {"user", "Talk for ever."};
  struct heard heard = {.stop_after = 1};
  lectern_generate_options options = {
      .struct_size = sizeof options, .max_tokens = 100, .on_text = hear, .user_data = &heard};
  const lectern_reply* reply = NULL;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_generate(model, &message, 1, &options, &reply));
  CHECK(reply == NULL && heard.n_calls == 1); /* nothing is told after the stop */
  heard = (struct heard){.stop_after = 1};
  CHECK_OK(lectern_cancel_create(&heard.cancel));
  options.cancel = heard.cancel;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_generate(model, &message, 1, &options, &reply));
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_generate(model, &message, 1, &options, &reply)); /* stays set */
  CHECK(heard.n_calls == 1);
  lectern_cancel_free(heard.cancel);
}

static int hear_step(const lectern_step* step, void* user_data) {
  struct heard* heard = user_data;
  CHECK(strlen(step->kind) > 0 && step->detail != NULL && step->seconds >= 0);
  return ++heard->n_steps == heard->stop_after_steps;
}

void a_question_is_answered(lectern_model* model) {
  lectern_collection* collection = two_documents();
  const lectern_answer* answer = NULL;
  struct heard heard = {.n = 0};
  const lectern_message history[] = {{"user", "What grows?"}, {"assistant", "Beans."}};
  lectern_ask_options options = {.struct_size = sizeof options,
                                 .level = "1",
                                 .helpers = "never",
                                 .max_answer_tokens = 40,
                                 .on_text = hear,
                                 .on_step = hear_step,
                                 .user_data = &heard};
  /* One word to look for is not judged: a model of random weights would find that nothing answers. */
  CHECK_OK(lectern_ask(model, collection, "Where are the beans?", &options, &answer));
  CHECK(answer != NULL && answer->text[answer->text_bytes] == 0 && strcmp(answer->level, "1") == 0);
  CHECK(heard.n == answer->text_bytes && heard.n > 0 && memcmp(heard.text, answer->text, heard.n) == 0);
  CHECK(heard.n_steps >= 2);
  CHECK(answer->n_passages >= 1 && answer->passages[0]->text_bytes > 0 && answer->n_calls >= 1);
  CHECK(strcmp(answer->question, "Where are the beans?") == 0 && answer->trace_json[0] != 0);
  for (size_t i = 0; i < answer->n_citations; ++i)
    CHECK(answer->citations[i]->quote_bytes > 0 && answer->citations[i]->passage->text_bytes > 0);
  lectern_answer_free(answer);

  options.history = history;
  options.n_history = 2;
  CHECK_OK(lectern_ask(model, collection, "When were they sown?", &options, &answer));
  lectern_answer_free(answer);
  options.n_history = 0;

  options.level = "9";
  CHECK_REFUSED("level", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.level = NULL;
  options.helpers = "sometimes";
  CHECK_REFUSED("helpers", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.helpers = NULL;
  options.budget_seconds = -1;
  CHECK_REFUSED("budget_seconds", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.budget_seconds = 0;
  options.max_answer_tokens = -1;
  CHECK_REFUSED("max_answer_tokens", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.max_answer_tokens = 16;
  CHECK_REFUSED("", lectern_ask(model, collection, "?!", NULL, &answer));
  const int64_t unknown[] = {4711};
  const lectern_ask_options only_unknown = {
      .struct_size = sizeof only_unknown, .documents = unknown, .n_documents = 1};
  CHECK_STATUS(LECTERN_NOT_FOUND, "4711", lectern_ask(model, collection, "Beans?", &only_unknown, &answer));
  lectern_cancel* cancel = NULL;
  CHECK_OK(lectern_cancel_create(&cancel));
  lectern_cancel_set(cancel);
  options.cancel = cancel;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_ask(model, collection, "Beans?", &options, &answer));
  CHECK(answer == NULL);
  lectern_cancel_free(cancel);
  lectern_collection_free(collection);
}

void a_question_can_be_stopped(lectern_model* model) {
  lectern_collection* collection = two_documents();
  const lectern_answer* answer = NULL;
  struct heard heard = {.stop_after_steps = 1};
  lectern_ask_options options = {.struct_size = sizeof options,
                                 .level = "1",
                                 .helpers = "never",
                                 .max_answer_tokens = 64,
                                 .on_text = hear,
                                 .on_step = hear_step,
                                 .user_data = &heard};
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_ask(model, collection, "Beans?", &options, &answer));
  CHECK(answer == NULL && heard.n_calls == 0); /* before the answer began */
  heard = (struct heard){.stop_after = 1};
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_ask(model, collection, "Beans?", &options, &answer));
  CHECK(answer == NULL && heard.n_calls == 1);
  CHECK_OK(lectern_ask(model, collection, "Beans?", &options, &answer)); /* no stop lasts for the next call */
  lectern_answer_free(answer);
  lectern_collection_free(collection);
}

struct asking {
  lectern_model* model;
  const lectern_cancel* cancel;
  int status;
};

/* Until it is stopped: one reply may be over before anybody could. */
static void* talk_for_ever(void* user_data) {
  struct asking* asking = user_data;
  const lectern_message message = {"user", "Talk for ever."};
  const lectern_generate_options options = {
      .struct_size = sizeof options, .max_tokens = 40, .cancel = asking->cancel};
  do {
    const lectern_reply* reply = NULL;
    asking->status = lectern_generate(asking->model, &message, 1, &options, &reply);
    lectern_reply_free(reply);
  } while (asking->status == LECTERN_OK);
  return NULL;
}

void another_thread_cancels(lectern_model* model) {
  lectern_cancel* cancel = NULL;
  CHECK_OK(lectern_cancel_create(&cancel));
  struct asking two[2] = {{model, cancel, 0}, {model, cancel, 0}};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) CHECK(pthread_create(&threads[i], NULL, talk_for_ever, &two[i]) == 0);
  const struct timespec while_they_talk = {0, 50 * 1000 * 1000};
  nanosleep(&while_they_talk, NULL);
  lectern_cancel_set(cancel);
  for (int i = 0; i < 2; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(two[i].status == LECTERN_CANCELLED);
  }
  lectern_cancel_free(cancel);
}
