/* A window over a folder of notes: it searches while you type, and Ask streams an answer whose citations open
 * the document at the quote.
 *     make && ./notes ../../notes
 * --model MODEL names another model than the default. For tests: --self-test types a query, opens the first
 * passage and quits; with --ask QUESTION it also asks, opens a citation if there is one, asks once more and
 * closes the window in the middle of that answer. --screenshot FILE.png keeps a picture.
 *
 * Searching takes milliseconds and happens where the keys are pressed. Indexing and asking are jobs: one at a
 * time, on a thread of its own, which talks to the window through g_idle_add() only. */
#include <gtk/gtk.h>
#include <lectern.h>
#include <locale.h>
#include <string.h>

struct app {
  const char *folder, *model_name, *query, *question, *screenshot;
  gboolean self_test;
  int status; /* of the program */

  lectern_collection* collection;
  lectern_model* model; /* loaded by the first question, by its thread */
  struct job* job;      /* NULL: none is under way */
  gboolean closing;     /* as soon as the job has ended */

  GtkWidget *window, *entry, *ask, *hits, *citations, *status_line, *document_title;
  GtkWidget *answer_view, *document_view;
  GtkTextBuffer *answer, *document;
  int step, ticks; /* of the self-test */
};

struct job {
  struct app* app;
  char* question; /* NULL: index the folder */
  lectern_cancel* cancel;
  GThread* thread;
  const lectern_answer* answer;
  char* error; /* NULL: it went well */
};

/* What a row leads to. */
struct place {
  int64_t document;
  char* path;
  lectern_range passage;
  size_t n_words; /* to be marked in it: words of the query, or a quote */
  lectern_range* words;
};

static void say(struct app* app, const char* text) {
  gtk_label_set_text(GTK_LABEL(app->status_line), text);
}

/* ---- places and rows --------------------------------------------------------------------- */

static void place_free(gpointer data) {
  struct place* place = data;
  g_free(place->path);
  g_free(place->words);
  g_free(place);
}

static struct place* place_new(const lectern_passage* passage, size_t n_words) {
  struct place* place = g_new0(struct place, 1);
  place->document = passage->document_id;
  place->path = g_filename_display_name(passage->path);
  place->passage = (lectern_range){passage->begin, passage->end};
  place->n_words = n_words;
  place->words = g_new0(lectern_range, n_words + 1);
  return place;
}

static void clear_list(GtkWidget* list) {
  GtkListBoxRow* row;
  while ((row = gtk_list_box_get_row_at_index(GTK_LIST_BOX(list), 0)) != NULL)
    gtk_list_box_remove(GTK_LIST_BOX(list), GTK_WIDGET(row));
}

/* `markup` and `place` are the row's from here on. */
static void add_row(GtkWidget* list, char* markup, struct place* place) {
  GtkWidget* label = gtk_label_new(NULL);
  gtk_label_set_markup(GTK_LABEL(label), markup);
  gtk_label_set_xalign(GTK_LABEL(label), 0);
  gtk_label_set_wrap(GTK_LABEL(label), TRUE);
  gtk_label_set_wrap_mode(GTK_LABEL(label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_lines(GTK_LABEL(label), 5);
  gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
  gtk_widget_set_margin_start(label, 10);
  gtk_widget_set_margin_end(label, 10);
  gtk_widget_set_margin_top(label, 8);
  gtk_widget_set_margin_bottom(label, 8);
  GtkWidget* row = gtk_list_box_row_new();
  gtk_list_box_row_set_child(GTK_LIST_BOX_ROW(row), label);
  g_object_set_data_full(G_OBJECT(row), "place", place, place_free);
  gtk_list_box_append(GTK_LIST_BOX(list), row);
  g_free(markup);
}

/* A document's text as one line: white space and control characters become single spaces. */
static void append_escaped(GString* markup, const char* text, size_t n) {
  char* line = g_malloc(n + 1);
  size_t length = 0;
  for (size_t i = 0; i < n; ++i) {
    const char byte = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    if (byte != ' ' || length == 0 || line[length - 1] != ' ') line[length++] = byte;
  }
  char* escaped = g_markup_escape_text(line, (gssize)length);
  g_string_append(markup, escaped);
  g_free(escaped);
  g_free(line);
}

static char* heading_markup(const lectern_passage* passage, const char* heading) {
  char* path = g_filename_display_name(passage->path);
  char* markup = passage->page_first > 0
                     ? g_markup_printf_escaped("<b>%s</b>  <small>p. %d  %s</small>\n", path,
                                               passage->page_first, heading)
                     : g_markup_printf_escaped("<b>%s</b>  <small>%s</small>\n", path, heading);
  g_free(path);
  return markup;
}

static char* hit_markup(const lectern_hit* hit) {
  const lectern_passage* passage = hit->passage;
  char* heading = heading_markup(passage, hit->heading);
  GString* markup = g_string_new(heading);
  g_free(heading);
  /* From a little before the first word that was found. */
  uint64_t at = 0;
  if (hit->n_highlights > 0 && hit->highlights[0].begin > 60) {
    at = hit->highlights[0].begin - 60;
    while (((unsigned char)passage->text[at] & 0xc0) == 0x80) ++at;
    const char* space = memchr(passage->text + at, ' ', hit->highlights[0].begin - at);
    if (space != NULL) at = (uint64_t)(space - passage->text); /* not within a word */
    g_string_append(markup, "…");
  }
  for (size_t i = 0; i < hit->n_highlights; ++i) {
    const lectern_range word = hit->highlights[i];
    append_escaped(markup, passage->text + at, word.begin - at);
    g_string_append(markup, "<span background='#fff0a0' foreground='#201800'>");
    append_escaped(markup, passage->text + word.begin, word.end - word.begin);
    g_string_append(markup, "</span>");
    at = word.end;
  }
  append_escaped(markup, passage->text + at, passage->text_bytes - at);
  return g_string_free(markup, FALSE);
}

static char* citation_markup(const lectern_citation* citation) {
  char* heading = heading_markup(citation->passage, citation->passage->heading);
  GString* markup = g_string_new(NULL);
  g_string_append_printf(markup, "[%d] %s", citation->number, heading);
  g_free(heading);
  append_escaped(markup, citation->quote, citation->quote_bytes);
  return g_string_free(markup, FALSE);
}

/* ---- documents --------------------------------------------------------------------------- */

static void mark(GtkTextBuffer* buffer, const char* text, lectern_range range, const char* tag,
                 GtkTextIter* begin) {
  GtkTextIter end;
  gtk_text_buffer_get_iter_at_offset(buffer, begin, (int)g_utf8_pointer_to_offset(text, text + range.begin));
  gtk_text_buffer_get_iter_at_offset(buffer, &end, (int)g_utf8_pointer_to_offset(text, text + range.end));
  gtk_text_buffer_apply_tag_by_name(buffer, tag, begin, &end);
}

static void open_place(GtkListBox* list, GtkListBoxRow* row, struct app* app) {
  (void)list;
  const struct place* place = g_object_get_data(G_OBJECT(row), "place");
  const lectern_text* whole = NULL;
  if (lectern_collection_text(app->collection, place->document, 0, UINT64_MAX, &whole) != LECTERN_OK) {
    say(app, lectern_last_error()); /* removed since */
    return;
  }
  char* text = g_memdup2(whole->text, whole->text_bytes + 1);
  for (size_t i = 0; i < whole->text_bytes; ++i)
    if (text[i] == '\0') text[i] = ' '; /* GTK shows no text that holds one */
  gtk_text_buffer_set_text(app->document, text, (int)whole->text_bytes);
  gtk_label_set_text(GTK_LABEL(app->document_title), place->path);
  GtkTextIter begin;
  if (place->passage.end <= whole->text_bytes) {
    mark(app->document, text, place->passage, "passage", &begin);
    for (size_t i = place->n_words; i > 0; --i) /* the first one last: there it scrolls to */
      if (place->words[i - 1].end <= whole->text_bytes)
        mark(app->document, text, place->words[i - 1], "word", &begin);
    gtk_text_buffer_place_cursor(app->document, &begin);
    gtk_text_view_scroll_to_mark(GTK_TEXT_VIEW(app->document_view), gtk_text_buffer_get_insert(app->document),
                                 0, TRUE, 0, 0.3);
  }
  g_free(text);
  lectern_text_free(whole);
}

/* ---- searching --------------------------------------------------------------------------- */

static void search(GtkSearchEntry* entry, struct app* app) {
  const lectern_hits* hits = NULL;
  const lectern_search_options options = {.struct_size = sizeof options, .limit = 20};
  const int status =
      lectern_search(app->collection, gtk_editable_get_text(GTK_EDITABLE(entry)), &options, &hits);
  clear_list(app->hits);
  if (status == LECTERN_INVALID_ARGUMENT) return; /* no words yet */
  if (status != LECTERN_OK) {
    say(app, lectern_last_error());
    return;
  }
  for (size_t i = 0; i < hits->n_hits; ++i) {
    const lectern_hit* hit = hits->hits[i];
    struct place* place = place_new(hit->passage, hit->n_highlights);
    for (size_t k = 0; k < hit->n_highlights; ++k) {
      place->words[k].begin = hit->passage->begin + hit->highlights[k].begin;
      place->words[k].end = hit->passage->begin + hit->highlights[k].end;
    }
    add_row(app->hits, hit_markup(hit), place);
  }
  char* line = g_strdup_printf("%zu passages in %.1f ms", hits->n_hits, hits->seconds * 1e3);
  if (app->job == NULL) say(app, line);
  g_free(line);
  lectern_hits_free(hits);
}

/* ---- jobs -------------------------------------------------------------------------------- */

struct piece { /* of an answer, on its way to the window */
  struct app* app;
  char text[];
};

static gboolean show_piece(gpointer data) {
  struct piece* piece = data;
  GtkTextIter end;
  gtk_text_buffer_get_end_iter(piece->app->answer, &end);
  gtk_text_buffer_insert(piece->app->answer, &end, piece->text, -1);
  g_free(piece);
  return G_SOURCE_REMOVE;
}

static int on_text(const char* text, size_t n_bytes, void* user_data) {
  struct piece* piece = g_malloc(sizeof(struct piece) + n_bytes + 1);
  piece->app = ((struct job*)user_data)->app;
  memcpy(piece->text, text, n_bytes + 1);
  g_idle_add(show_piece, piece); /* pieces arrive in their order, and before the job's end */
  return 0;
}

static int do_job(struct job* job) {
  struct app* app = job->app;
  if (job->question == NULL) {
    const lectern_index_options options = {.struct_size = sizeof options, .cancel = job->cancel};
    return lectern_collection_index(app->collection, &options, NULL);
  }
  if (app->model == NULL) {
    const lectern_model_options options = {.struct_size = sizeof options, .cancel = job->cancel};
    const int status = lectern_model_load(app->model_name, &options, &app->model);
    if (status != LECTERN_OK) return status;
  }
  const lectern_ask_options options = {
      .struct_size = sizeof options, .cancel = job->cancel, .on_text = on_text, .user_data = job};
  return lectern_ask(app->model, app->collection, job->question, &options, &job->answer);
}

static void show_answer(struct app* app, const lectern_answer* answer) {
  for (size_t i = 0; i < answer->n_citations; ++i) {
    const lectern_citation* citation = answer->citations[i];
    struct place* place = place_new(citation->passage, 1);
    place->words[0] = (lectern_range){citation->quote_begin, citation->quote_end};
    add_row(app->citations, citation_markup(citation), place);
  }
  char* line = g_strdup_printf("Answered in %.1f s%s", answer->seconds,
                               answer->supported ? "" : "; nothing in the documents supports it");
  say(app, line);
  g_free(line);
}

static gboolean end_job(gpointer data) {
  struct job* job = data;
  struct app* app = job->app;
  g_thread_join(job->thread);
  app->job = NULL;
  gtk_button_set_label(GTK_BUTTON(app->ask), "Ask");
  if (job->error != NULL) {
    say(app, job->error);
  } else if (job->answer != NULL) {
    show_answer(app, job->answer);
  } else {
    say(app, "Type to search, or ask a question");
    search(GTK_SEARCH_ENTRY(app->entry), app); /* what was typed meanwhile */
  }
  lectern_answer_free(job->answer);
  lectern_cancel_free(job->cancel);
  g_free(job->question);
  g_free(job->error);
  g_free(job);
  if (app->closing) gtk_window_destroy(GTK_WINDOW(app->window));
  return G_SOURCE_REMOVE;
}

static gpointer run_job(gpointer data) {
  struct job* job = data;
  if (do_job(job) != LECTERN_OK) job->error = g_strdup(lectern_last_error());
  g_idle_add(end_job, job);
  return NULL;
}

static void start_job(struct app* app, const char* question) {
  struct job* job = g_new0(struct job, 1);
  if (lectern_cancel_create(&job->cancel) != LECTERN_OK) {
    say(app, lectern_last_error());
    g_free(job);
    return;
  }
  job->app = app;
  job->question = g_strdup(question);
  app->job = job;
  gtk_button_set_label(GTK_BUTTON(app->ask), "Stop");
  say(app, question == NULL ? "Indexing …" : app->model == NULL ? "Loading the model …" : "Reading …");
  job->thread = g_thread_new("job", run_job, job);
}

static void ask_or_stop(GtkWidget* from, struct app* app) {
  (void)from;
  if (app->job != NULL) {
    lectern_cancel_set(app->job->cancel);
    return;
  }
  const char* question = gtk_editable_get_text(GTK_EDITABLE(app->entry));
  if (*question == '\0') return;
  gtk_text_buffer_set_text(app->answer, "", 0);
  clear_list(app->citations);
  start_job(app, question);
}

/* A window that is closed in the middle of a job goes out of sight, and away when the job has ended. */
static gboolean close_request(GtkWindow* window, struct app* app) {
  if (app->job == NULL) return FALSE;
  app->closing = TRUE;
  lectern_cancel_set(app->job->cancel);
  gtk_widget_set_visible(GTK_WIDGET(window), FALSE);
  return TRUE;
}

/* ---- the window -------------------------------------------------------------------------- */

static GtkWidget* scrolled(GtkWidget* child) {
  GtkWidget* scroller = gtk_scrolled_window_new();
  gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), child);
  gtk_widget_set_vexpand(scroller, TRUE);
  gtk_widget_set_hexpand(scroller, TRUE);
  return scroller;
}

static GtkWidget* list_of_places(struct app* app, const char* placeholder) {
  GtkWidget* list = gtk_list_box_new();
  GtkWidget* label = gtk_label_new(placeholder);
  gtk_widget_add_css_class(label, "dim-label");
  gtk_widget_set_margin_top(label, 16);
  gtk_list_box_set_placeholder(GTK_LIST_BOX(list), label);
  g_signal_connect(list, "row-activated", G_CALLBACK(open_place), app);
  return list;
}

static GtkWidget* text_view(GtkTextBuffer** buffer) {
  GtkWidget* view = gtk_text_view_new();
  gtk_text_view_set_editable(GTK_TEXT_VIEW(view), FALSE);
  gtk_text_view_set_cursor_visible(GTK_TEXT_VIEW(view), FALSE);
  gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(view), GTK_WRAP_WORD_CHAR);
  gtk_text_view_set_left_margin(GTK_TEXT_VIEW(view), 12);
  gtk_text_view_set_right_margin(GTK_TEXT_VIEW(view), 12);
  gtk_text_view_set_top_margin(GTK_TEXT_VIEW(view), 8);
  gtk_text_view_set_bottom_margin(GTK_TEXT_VIEW(view), 8);
  *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(view));
  gtk_text_buffer_create_tag(*buffer, "passage", "paragraph-background", "#f2efe2", "foreground", "#201800",
                             NULL);
  gtk_text_buffer_create_tag(*buffer, "word", "background", "#ffe070", "foreground", "#201800", NULL);
  return view;
}

static GtkWidget* column(GtkWidget* first, ...) {
  GtkWidget* box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
  va_list more;
  va_start(more, first);
  for (GtkWidget* child = first; child != NULL; child = va_arg(more, GtkWidget*))
    gtk_box_append(GTK_BOX(box), child);
  va_end(more);
  return box;
}

static GtkWidget* caption(const char* text) {
  GtkWidget* label = gtk_label_new(text);
  gtk_widget_add_css_class(label, "heading");
  gtk_label_set_xalign(GTK_LABEL(label), 0);
  gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_MIDDLE);
  gtk_widget_set_margin_start(label, 12);
  gtk_widget_set_margin_top(label, 8);
  gtk_widget_set_margin_bottom(label, 6);
  return label;
}

static GtkWidget* panes(GtkOrientation orientation, GtkWidget* first, GtkWidget* second, int position) {
  GtkWidget* paned = gtk_paned_new(orientation);
  gtk_paned_set_start_child(GTK_PANED(paned), first);
  gtk_paned_set_end_child(GTK_PANED(paned), second);
  gtk_paned_set_position(GTK_PANED(paned), position);
  return paned;
}

static gboolean self_test_tick(gpointer data);

static void activate(GtkApplication* application, struct app* app) {
  app->window = gtk_application_window_new(application);
  char* title = g_strdup_printf("Notes in %s", app->folder);
  gtk_window_set_title(GTK_WINDOW(app->window), title);
  g_free(title);
  gtk_window_set_default_size(GTK_WINDOW(app->window), 1080, 720);
  g_signal_connect(app->window, "close-request", G_CALLBACK(close_request), app);

  app->entry = gtk_search_entry_new();
  gtk_widget_set_hexpand(app->entry, TRUE);
  g_signal_connect(app->entry, "search-changed", G_CALLBACK(search), app);
  g_signal_connect(app->entry, "activate", G_CALLBACK(ask_or_stop), app);
  app->ask = gtk_button_new_with_label("Ask");
  gtk_widget_add_css_class(app->ask, "suggested-action");
  g_signal_connect(app->ask, "clicked", G_CALLBACK(ask_or_stop), app);
  GtkWidget* bar = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
  gtk_box_append(GTK_BOX(bar), app->entry);
  gtk_box_append(GTK_BOX(bar), app->ask);
  gtk_widget_set_margin_start(bar, 10);
  gtk_widget_set_margin_end(bar, 10);
  gtk_widget_set_margin_top(bar, 10);
  gtk_widget_set_margin_bottom(bar, 10);

  app->hits = list_of_places(app, "Passages appear here while you type.");
  app->citations = list_of_places(app, "Citations of an answer appear here.");
  app->answer_view = text_view(&app->answer);
  app->document_view = text_view(&app->document);
  app->document_title = caption("Document");
  app->status_line = gtk_label_new("");
  gtk_label_set_xalign(GTK_LABEL(app->status_line), 0);
  gtk_label_set_ellipsize(GTK_LABEL(app->status_line), PANGO_ELLIPSIZE_END);
  gtk_widget_set_margin_start(app->status_line, 12);
  gtk_widget_set_margin_top(app->status_line, 5);
  gtk_widget_set_margin_bottom(app->status_line, 5);

  GtkWidget* answer = column(caption("Answer"), scrolled(app->answer_view), scrolled(app->citations), NULL);
  GtkWidget* document = column(app->document_title, scrolled(app->document_view), NULL);
  GtkWidget* right = panes(GTK_ORIENTATION_VERTICAL, answer, document, 280);
  GtkWidget* left = column(caption("Passages"), scrolled(app->hits), NULL);
  gtk_window_set_child(GTK_WINDOW(app->window),
                       column(bar, gtk_separator_new(GTK_ORIENTATION_HORIZONTAL),
                              panes(GTK_ORIENTATION_HORIZONTAL, left, right, 440),
                              gtk_separator_new(GTK_ORIENTATION_HORIZONTAL), app->status_line, NULL));
  gtk_window_present(GTK_WINDOW(app->window));
  start_job(app, NULL);
  if (app->self_test) g_timeout_add(100, self_test_tick, app);
}

/* ---- the self-test ----------------------------------------------------------------------- */

static void keep_picture(struct app* app) {
  GdkPaintable* paintable = gtk_widget_paintable_new(app->window);
  GtkSnapshot* snapshot = gtk_snapshot_new();
  gdk_paintable_snapshot(paintable, GDK_SNAPSHOT(snapshot), gtk_widget_get_width(app->window),
                         gtk_widget_get_height(app->window));
  GskRenderNode* node = gtk_snapshot_free_to_node(snapshot);
  GskRenderer* renderer = gtk_native_get_renderer(GTK_NATIVE(app->window));
  if (node != NULL && renderer != NULL) {
    GdkTexture* picture = gsk_renderer_render_texture(renderer, node, NULL);
    if (!gdk_texture_save_to_png(picture, app->screenshot)) app->status = 1;
    g_object_unref(picture);
    gsk_render_node_unref(node);
  }
  g_object_unref(paintable);
}

static GtkListBoxRow* first_row(GtkWidget* list) {
  return gtk_list_box_get_row_at_index(GTK_LIST_BOX(list), 0);
}

/* The document shown has marked words. */
static gboolean shows_marked_words(struct app* app) {
  GtkTextIter at;
  gtk_text_buffer_get_start_iter(app->document, &at);
  GtkTextTag* word = gtk_text_tag_table_lookup(gtk_text_buffer_get_tag_table(app->document), "word");
  return gtk_text_iter_starts_tag(&at, word) || gtk_text_iter_forward_to_tag_toggle(&at, word);
}

static gboolean end_of_self_test(struct app* app, const char* failure) {
  if (failure != NULL) {
    g_printerr("self-test: %s (%s)\n", failure, gtk_label_get_text(GTK_LABEL(app->status_line)));
    app->status = 1;
  } else {
    g_print("self-test: ok\n");
  }
  gtk_window_close(GTK_WINDOW(app->window));
  return G_SOURCE_REMOVE;
}

static gboolean self_test_tick(gpointer data) {
  struct app* app = data;
  if (++app->ticks > 3000) return end_of_self_test(app, "it takes too long");
  switch (app->step) {
    case 0: /* indexed? type */
      if (app->job != NULL) return G_SOURCE_CONTINUE;
      gtk_editable_set_text(GTK_EDITABLE(app->entry), app->query);
      break;
    case 1: /* hits? open one */
      if (first_row(app->hits) == NULL) return G_SOURCE_CONTINUE;
      g_signal_emit_by_name(app->hits, "row-activated", first_row(app->hits));
      if (!shows_marked_words(app)) return end_of_self_test(app, "the document shows no marked words");
      if (app->question == NULL) app->step = 4;
      break;
    case 2: /* ask */
      gtk_editable_set_text(GTK_EDITABLE(app->entry), app->question);
      ask_or_stop(app->ask, app);
      break;
    case 3: /* answered? open a citation */
      if (app->job != NULL) return G_SOURCE_CONTINUE;
      if (gtk_text_buffer_get_char_count(app->answer) == 0) return end_of_self_test(app, "no answer came");
      if (first_row(app->citations) != NULL) {
        gtk_text_buffer_set_text(app->document, "", 0);
        g_signal_emit_by_name(app->citations, "row-activated", first_row(app->citations));
        if (!shows_marked_words(app)) return end_of_self_test(app, "the document shows no quote");
      }
      break;
    case 4: /* once it is drawn */
    case 5:
    case 6:
      break;
    case 7:
      if (app->screenshot != NULL) keep_picture(app);
      if (app->question == NULL) return end_of_self_test(app, NULL);
      ask_or_stop(app->ask, app);
      break;
    default: /* in the middle of an answer */
      if (app->job == NULL) return end_of_self_test(app, "the second answer could not be left in the middle");
      return end_of_self_test(app, NULL);
  }
  ++app->step;
  return G_SOURCE_CONTINUE;
}

int main(int argc, char** argv) {
  setlocale(LC_ALL, ""); /* what is typed as an argument is in the user's encoding */
  struct app app = {.query = "beans"};
  GOptionEntry entries[] = {
      {"model", 0, 0, G_OPTION_ARG_STRING, &app.model_name, "Model to answer with", "MODEL"},
      {"self-test", 0, 0, G_OPTION_ARG_NONE, &app.self_test, "Type a query, open a passage, quit", NULL},
      {"query", 0, 0, G_OPTION_ARG_STRING, &app.query, "What the self-test types", "WORDS"},
      {"ask", 0, 0, G_OPTION_ARG_STRING, &app.question, "What the self-test asks", "QUESTION"},
      {"screenshot", 0, 0, G_OPTION_ARG_FILENAME, &app.screenshot, "Picture of the self-test", "FILE.png"},
      {NULL, 0, 0, 0, NULL, NULL, NULL}};
  GOptionContext* options = g_option_context_new("FOLDER");
  g_option_context_add_main_entries(options, entries, NULL);
  GError* error = NULL;
  if (!g_option_context_parse(options, &argc, &argv, &error) || argc != 2) {
    g_printerr("notes: %s\n", error != NULL ? error->message : "name one folder");
    return 2;
  }
  g_option_context_free(options);
  app.folder = argv[1];
  if (lectern_collection_open_folder(app.folder, &app.collection) != LECTERN_OK) {
    g_printerr("notes: %s\n", lectern_last_error());
    return 1;
  }
  GtkApplication* application = gtk_application_new(NULL, G_APPLICATION_NON_UNIQUE);
  g_signal_connect(application, "activate", G_CALLBACK(activate), &app);
  const int status = g_application_run(G_APPLICATION(application), 1, argv);
  g_object_unref(application);
  lectern_model_free(app.model);
  lectern_collection_free(app.collection);
  return app.status != 0 ? app.status : status;
}
