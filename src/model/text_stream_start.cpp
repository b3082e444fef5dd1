#include "omni/model/text_stream_start.h"

#include <ATen/core/grad_mode.h>

#include "omni/core/error.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

template <class Value>
void require_equal(const char* key, const Value& given, const Value& qwen3) {
  if (!(given == qwen3))
    fail(ErrorKind::usage, "starting a text stream: '", key, "' is ", given, ", the Qwen3's is ", qwen3,
         ". Set it so, or start from a model of the configuration's sizes");
}

std::string word(bool flag) { return flag ? "true" : "false"; }

// Of everything that its text stream computes with.
void require_same_blocks(const TransformerConfig& given, const Qwen3Config& config) {
  const TransformerConfig wanted = transformer_config(config);
  require_equal("width", given.width, wanted.width);
  if (given.streams == 2)
    require_equal("dual_blocks", given.dual_blocks, config.layers);
  else
    require_equal("single_blocks", given.single_blocks, config.layers);
  require_equal("heads", given.heads, wanted.heads);
  require_equal("head_size", given.attention_head_size(), wanted.attention_head_size());
  require_equal("key_value_heads", given.stored_heads(), wanted.stored_heads());
  require_equal("mlp_hidden", given.mlp_width(), wanted.mlp_width());
  require_equal("norm", given.norm, wanted.norm);
  require_equal("norm_scale", word(given.norm_scale), word(wanted.norm_scale));
  require_equal("norm_epsilon", given.norm_epsilon, wanted.norm_epsilon);
  require_equal("bias", word(given.bias), word(wanted.bias));
  require_equal("query_key_norm", word(given.query_key_norm), word(wanted.query_key_norm));
  require_equal("query_key_norm_epsilon", given.query_key_norm_epsilon, wanted.query_key_norm_epsilon);
  require_equal("rope", given.rope, wanted.rope);
  require_equal("rope_theta", given.rope_theta, wanted.rope_theta);
  require_equal<std::string>("rope_split", given.rope_split.empty() ? "empty" : "not empty", "empty");
  require_equal<std::string>("bidirectional",
                             given.is_bidirectional(sequence::Modality::text) ? "with text" : "without text",
                             "without text");
  require_equal("tied_embeddings", word(given.tied_embeddings), word(wanted.tied_embeddings));
}

// Of the vocabulary that the tokenizers make; 0 where the description leaves it to them.
void require_same_vocabulary(const sequence::VocabularySizes& given, const sequence::Vocabulary& made) {
  const auto require = [&](const char* key, std::int32_t size, std::string_view range) {
    const std::int32_t found = made.has(range) ? made.range(range).size : 0;
    if (size != 0 && size != found)
      fail(ErrorKind::usage, "starting a text stream: 'vocabulary.", key, "' is ", size, ", ",
           range == sequence::kRangeText ? "the Qwen3's tokenizer has " : "the tokenizer given for it has ",
           found, ". Set it so, or leave it out");
  };
  require("text", given.text, sequence::kRangeText);
  require("image", given.image, sequence::kRangeImage);
  require("geometry", given.geometry, sequence::kRangeGeometry);
  require("colour", given.colour, sequence::kRangeColour);
}

// Where the text stream's share of a block lies, and which of it there is in the last block of a text without output.
void place_in_stream(PublicTensor::Piece& piece, const Qwen3Config& config, const TransformerConfig& given,
                     std::vector<PublicTensor::Piece>& kept) {
  const std::string blocks = "single_blocks.";
  if (!piece.parameter.starts_with(blocks) || given.streams == 1) {
    if (piece.parameter != "final_norm.weight" || !given.drops_text()) kept.push_back(piece);
    return;
  }
  const std::size_t dot = piece.parameter.find('.', blocks.size());
  const std::string number = piece.parameter.substr(blocks.size(), dot - blocks.size()),
                    name = piece.parameter.substr(dot + 1);
  piece.parameter = concat("dual_blocks.", number, ".text.", name);
  if (given.drops_text() && number == std::to_string(config.layers - 1)) {
    const std::int64_t queries = given.query_width();
    if (name != "attention_norm.weight" && name != "key_norm.weight" && name != "qkv.weight") return;
    if (name == "qkv.weight" && piece.parameter_row < queries) return;
    if (name == "qkv.weight") piece.parameter_row -= queries;
  }
  kept.push_back(piece);
}

// The Qwen3's tensors in the parameters of the bundle's transformer.
PublicLayout layout_of_stream(const PublicLayout& given, const Qwen3Config& config,
                              const Transformer& transformer) {
  const sequence::TokenRange& text = transformer.vocabulary().range(sequence::kRangeText);
  PublicLayout layout;
  layout.ignore("lm_head.weight");  // known to given, which was required
  for (PublicTensor tensor : given.tensors()) {
    std::vector<PublicTensor::Piece> kept;
    for (PublicTensor::Piece piece : tensor.pieces) {
      if (piece.parameter == "embedding.weight" || piece.parameter == "head.weight") {
        piece.parameter_row = text.first;
        piece.rows = text.size;  // a published table is filled up with rows that no token has
      }
      place_in_stream(piece, config, transformer.config(), kept);
    }
    tensor.pieces = std::move(kept);
    layout.add(std::move(tensor));
  }
  return layout;
}

// A text's tokens are what their rows say, and nothing follows the last of them.
void clear_text_slots(Transformer& transformer) {
  const c10::NoGradGuard guard;
  const Transformer::Network& net = transformer.network();
  if (!net.slots.defined()) return;
  for (const Tensor& table : {net.slots, net.next_slots}) {
    table.narrow(0, net.slot_row(sequence::Modality::text, 0), net.parts.span(sequence::Modality::text))
        .zero_();
    table[net.no_slot()].zero_();
  }
}

}  // namespace

Bundle start_text_stream(const ModelDescription& description, const PublicFiles& qwen3,
                         TextStreamStart start) {
  if (description.family == "cube3d")
    fail(ErrorKind::usage,
         "starting a text stream: a configuration of family cube3d reads texts by their features. Name "
         "one of family omni or qwen3");
  Qwen3Source source = open_qwen3_source(qwen3);
  if (source.tokenizer == nullptr)
    fail(ErrorKind::input, "starting a text stream: the Qwen3 '", qwen3.weights.string(),
         "' has no tokenizer.json, whose tokens texts are made of. Put it beside the weights");
  const PublicLayout given = layout_in(source.weights, source.config);
  require_layout(source.weights, given);  // which bounds what it makes others allocate
  const TransformerConfig config =
      description.family == "qwen3" ? transformer_config(description.qwen3) : description.transformer;
  require_same_blocks(config, source.config);
  const sequence::ViewBins& views = description.vocabulary.views;
  Bundle bundle =
      make_bundle(config, {std::move(source.tokenizer), std::move(start.image), std::move(start.shape)},
                  description.layout.text_capacity, /*views=*/views.azimuth > 0, start.seed);
  require_same_vocabulary(description.vocabulary, bundle.vocabulary());
  nn::ParameterStore* const stores[] = {&bundle.transformer->parameters()};
  overwrite_weights(source.weights, layout_of_stream(given, source.config, *bundle.transformer), stores);
  clear_text_slots(*bundle.transformer);
  bundle.notes["stage"] = "init";
  bundle.notes["text stream from"] = "qwen3";
  return bundle;
}

}  // namespace omni::model
