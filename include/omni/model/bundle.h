#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "omni/kernels/decode_format.h"
#include "omni/model/bundle_text_tower.h"
#include "omni/model/transformer.h"
#include "omni/tokenizers/tokenizer_set.h"
#include "omni/tokenizers/word_list.h"

namespace omni::checkpoint {
class CheckpointReader;
}

namespace omni::model {

// Everything that sampling needs, in one folder: bundle.yaml, vocabulary.json, model.safetensors, words.json
// where the words of its captions are known, and the tokenizers as TokenizerSet::save leaves them. Any
// tokenizer may be absent where the layout has no such modality. text_tower/: a copy of its text tower's folder, if it has
// one.
struct Bundle {
  omni::tokenizers::TokenizerSet tokenizers;
  std::unique_ptr<Transformer> transformer;
  std::vector<sequence::Task> tasks;         // what it was trained on beside the built-in tasks
  std::map<std::string, std::string> notes;  // free text: the command, the seed, the stage that made it
  std::optional<omni::tokenizers::WordList> words;  // of its training captions; absent in older bundles
  // What it is shown of texts that are conditions; absent: their tokens. Of a bundle of shapes alone, its sizes.
  std::optional<BundleTextTower> text_tower;

  const sequence::Vocabulary& vocabulary() const { return transformer->vocabulary(); }
  const sequence::SequenceLayout& layout() const { return transformer->layout(); }
};

// A fresh transformer over the given tokenizers, which the bundle takes over. text_capacity: longest text in
// tokens; views: whether the vocabulary has the tokens of views.
Bundle make_bundle(const TransformerConfig& config, tokenizers::TokenizerSet tokenizers,
                   std::int64_t text_capacity, bool views, nn::ParameterStart start);

// The folder appears whole or not at all; an older bundle at `folder` is replaced. Throws Error(io).
// `matrix_type`: of the transformer's matrices in the file, kFloat or kBFloat16.
void save_bundle(const Bundle& bundle, const std::filesystem::path& folder,
                 at::ScalarType matrix_type = at::kFloat);
// The same without its weights: what training does not change.
void save_bundle_frame(const Bundle& bundle, const std::filesystem::path& folder);
// Of a bundle, or of a checkpoint of a run, which is compared with its checksums. Throws Error(io) for a
// missing folder or file, Error(input) for one that is truncated, of another format version, or of another
// vocabulary than its tokenizers and weights.
Bundle load_bundle(const std::filesystem::path& folder);
// Of a bundle for decoding on the CPU in that format alone: weights in a file of so many bytes or more (absent: of
// kSmallestMappedFile) are mapped, so that sampling starts at once (see panel_file.h); others are read. Throws as
// load_bundle().
Bundle load_bundle_for_decoding(const std::filesystem::path& folder, kernels::DecodeFormat format,
                                const std::optional<std::uint64_t>& smallest_mapped_file = {});
// Of a checkpoint that is known to be sound, with the adapters that its run trains; load_bundle() of its folder merges them.
Bundle load_bundle(const checkpoint::CheckpointReader& checkpoint);
// Of a checkpoint whose run averaged its weights (ema), these averages. Throws Error(usage) for another one, and as
// load_bundle() of its folder.
Bundle load_averaged_bundle(const std::filesystem::path& checkpoint);
// The weights of a checkpoint alone, into a transformer of the same parameters. Throws Error(input).
void load_weights(const checkpoint::CheckpointReader& checkpoint, Transformer& transformer);
// The same without its weights: the transformer has shapes alone (ParameterStart::shapes) and takes no
// memory.
Bundle load_bundle_shapes(const std::filesystem::path& folder);
// Reads all of a bundle's text tower, of which loading looks at size, time, header and some pieces where it has read it whole
// before: whether it is as it was written. Absent where it has none, and where the folder is no bundle. Throws Error(io).
std::optional<bool> text_tower_is_sound(const std::filesystem::path& folder);
// Its own tasks alone, without reading weights. Throws like load_bundle.
std::vector<sequence::Task> load_bundle_tasks(const std::filesystem::path& folder);
// Its notes alone, likewise.
std::map<std::string, std::string> load_bundle_notes(const std::filesystem::path& folder);
// Its word list alone, likewise; absent where it has none.
std::optional<tokenizers::WordList> load_bundle_words(const std::filesystem::path& folder);

}  // namespace omni::model
