#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "omni/data/token_dataset.h"
#include "omni/sequence/packed_sequence.h"
#include "omni/sequence/task.h"
#include "omni/tokenizers/text_tokenizer.h"
#include "omni/tokenizers/word_list.h"

namespace omni::data {

struct BatchOptions {
  std::uint64_t seed = 1;
  std::int64_t tokens_per_batch = 8192;  // of one packed sequence, at most
  std::int64_t batches_per_step = 1;  // packed sequences of one step, over all ranks and accumulation steps
  std::int64_t documents_per_batch = 0;  // 0: as many as fit in all but about one batch out of forty

  std::string mixture_unit = "documents";  // what the tasks' weights are shares of: documents or tokens
  double mixture_temperature = 1;          // see MixtureOptions
  double repeat_cap = 0;                   // how often a task may show each example in the run; 0: no cap
  std::string on_repeat = "error";  // error, or reweight: give the weight to other tasks, with a warning
  std::int64_t total_steps = 0;     // of the run; 0: unknown, then the cap acts only when it is reached

  Split split = Split::train;
  // Also draws objects that lack some of what a task shows, as long as they have something to be generated and two
  // of its members (the one, where there is one): what they lack is dropped. Edits want both objects whole.
  bool incomplete_objects = false;
  // Of texts, those that name every parameter, where an object has both kinds.
  double complete_caption_share = 0.5;
  // Of texts that are conditions, brief captions, where an object has any. Texts to be written are never
  // brief.
  double brief_caption_share = 0;
  double any_control_share = 0.1;  // of shapes' sizes and boxes and of images' views, those replaced by <any>
  double input_noise = 0;    // mean share of the generated codes that are shown wrong as input, 0 .. 0.5
  double control_noise = 0;  // the same for sizes, boxes and views
  // Encodes the instructions of editing tasks; they cannot be drawn without it.
  std::function<std::vector<std::int32_t>(std::string_view)> encode_text;

  // What texts that are conditions are shown as, in place of their tokens.
  std::optional<sequence::ConditionFeatures> features;

  // Of documents that are not laid out by the grammar: each is so many positions, which `append` adds to a sequence. Without
  // noise.
  struct OwnLayout {
    std::int64_t length = 0;
    std::function<void(sequence::PackedSequence&, const sequence::Document&)> append;
  };
  std::optional<OwnLayout> own_layout;
};

// Training batches from token shards. A batch is a pure function of the data, the tasks, the options and
// (step, micro_step): nothing is remembered between calls, calls may come in any order and from any thread,
// and a resumed run needs no state but its step.
//
// A task visits its examples in a seeded order, each once before any comes again. All documents of a run are
// numbered; a batch owns `documents_per_batch` consecutive numbers. A document that no longer fits into
// tokens_per_batch is left out (its example comes again in the next epoch), and the ones after it are tried
// in turn.
class BatchSource {
 public:
  using WeightedTask = std::pair<sequence::Task, double>;

  // Takes the shards, the layout and the vocabulary into shared ownership or copies. The tokenizers that made
  // the shards must be those of the layout and the vocabulary: see require_tokenizers. Throws Error(usage)
  // for tasks that the model or the data cannot serve, impossible options and a repeat cap that cannot be
  // kept.
  BatchSource(std::shared_ptr<const TokenDataset> dataset, const std::vector<WeightedTask>& tasks,
              const sequence::SequenceLayout& layout, const sequence::Vocabulary& vocabulary,
              BatchOptions options);
  ~BatchSource();
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;

  // 0 <= micro_step < batches_per_step. document_tasks holds indices into tasks(). Throws Error(usage) when
  // the repeat cap is reached.
  sequence::PackedSequence batch(std::int64_t step, std::int64_t micro_step) const;

  // What stands behind a document number: for tests, reports and error messages.
  struct Draw {
    std::size_t task;
    std::int64_t epoch;                // of this task
    std::int64_t object, before = -1;  // in the data set; `before` only in editing tasks
  };
  Draw draw(std::int64_t document) const;
  sequence::Document document(std::int64_t number) const;

  struct TaskSummary {
    std::string name;
    double share = 0;  // of documents
    std::int64_t examples = 0;
    double mean_tokens = 0;  // of a document, estimated
  };
  const std::vector<TaskSummary>& tasks() const;
  // The words and instructions of all texts that the tasks may draw, and the classes of their objects. `text`
  // made the shards' captions.
  tokenizers::WordList words(const tokenizers::TextTokenizer& text) const;
  std::int64_t documents_per_batch() const;
  double mean_tokens_per_batch() const;  // estimated

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace omni::data
