#include "omni/model/bundle.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/safetensors.h"
#include "omni/core/text_format.h"
#include "omni/model/bundle_numbers.h"
#include "omni/model/decoding_memory.h"
#include "omni/tokenizers/shape_grid.h"
#include "small_shape.h"
#include "small_world.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

std::unique_ptr<tokenizers::TextTokenizer> small_text() {
  return std::make_unique<tokenizers::TextTokenizer>(
      tokenizers::TextTokenizer::from_merges({{"a", "b"}, {"ab", "c"}}));
}

std::unique_ptr<tokenizers::ImageTokenizer> small_image(std::int64_t image_size = 16) {
  tokenizers::ImageTokenizerConfig config;
  config.image_size = image_size;
  config.channels = 8;
  config.channel_multipliers = {1, 1};
  config.res_blocks = {1, 1};
  config.z_channels = 8;
  config.codebook_size = 12;
  config.codebook_dim = 4;
  return std::make_unique<tokenizers::ImageTokenizer>(config, 3);
}

class BundleTest : public testing::Test {
 protected:
  void SetUp() override {
    bundle = make_bundle(small_config(), {small_text(), small_image(), nullptr}, 8, false, 5);
    bundle.notes = {{"command", "omni pretrain: \"quoted\", yes"}, {"seed", "5"}};
  }

  sequence::PackedSequence sequence() const {
    sequence::Document document;
    sequence::Segment text{sequence::TextPayload{{97, 256, 257}}};
    sequence::ImagePayload payload;
    CounterRng rng(1);
    payload.codes = random_codes(rng, bundle.layout().image_codes(), 12);
    sequence::Segment image{payload};
    image.carries_loss = true;
    document.segments = {text, image};
    sequence::PackedSequence packed;
    sequence::append_document(packed, document, bundle.vocabulary(), bundle.layout());
    return packed;
  }
  // Of the token after most of sequence().
  std::vector<float> decoded(const Bundle& loaded) const {
    const sequence::PackedSequence given = sequence();
    std::vector<DecodeToken> tokens;
    for (std::int64_t i = 0; i + 3 < given.length(); ++i)
      tokens.push_back(
          {.token = given.tokens[static_cast<std::size_t>(i)],
           .place = {.modality = omni::sequence::Modality::image, .offset = static_cast<std::int32_t>(i)},
           .next_place = {}});
    DecodeSession session(*loaded.transformer, 1, 256, parse_decode_precision("int8"));
    session.append(std::vector<std::vector<DecodeToken>>{tokens});
    omni::sequence::AllowedTokens allowed;
    allowed.add(0, loaded.vocabulary().size());
    const std::vector<std::int64_t> first = {0};
    return session.logits(first, std::vector<omni::sequence::AllowedTokens>{allowed})[0];
  }
  std::string error_of_loading() const {
    try {
      load_bundle(folder);
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::input || error.kind() == ErrorKind::io);
      return error.what();
    }
    return "";
  }

  const test::TemporaryDirectory temporary;
  const std::filesystem::path folder = temporary / "bundle";
  Bundle bundle;
};

TEST_F(BundleTest, LoadsWhatWasSaved) {
  bundle.tasks = {
      {"mine", {{.drop_rate = 0.25}, {.modality = sequence::Modality::image, .loss = true}}, 0.5}};
  save_bundle(bundle, folder);
  const Bundle loaded = load_bundle(folder);
  for (const auto& tasks : {loaded.tasks, load_bundle_tasks(folder)}) {
    ASSERT_EQ(tasks.size(), 1u);
    EXPECT_EQ(tasks[0].name, "mine");
    EXPECT_EQ(tasks[0].joint_drop_rate, 0.5);
    ASSERT_EQ(tasks[0].segments.size(), 2u);
    EXPECT_EQ(tasks[0].segments[0].drop_rate, 0.25);
    EXPECT_TRUE(tasks[0].segments[1].loss);
  }
  EXPECT_EQ(loaded.vocabulary().fingerprint(), bundle.vocabulary().fingerprint());
  EXPECT_EQ(loaded.notes, bundle.notes);
  EXPECT_EQ(loaded.tokenizers.text()->encode("abc"), bundle.tokenizers.text()->encode("abc"));
  EXPECT_TRUE(loaded.tokenizers.image()->codebook().equal(bundle.tokenizers.image()->codebook()));
  EXPECT_EQ(loaded.tokenizers.shape(), nullptr);
  EXPECT_EQ(loaded.tokenizers.format(), bundle.tokenizers.format());
  EXPECT_TRUE(loaded.transformer->logits(sequence()).equal(bundle.transformer->logits(sequence())));
}

TEST_F(BundleTest, MappedForDecodingItSamplesTheSame) {
  save_bundle(bundle, folder);
  const std::vector<float> expected = decoded(load_bundle(folder));
  const Bundle mapped = load_bundle_for_decoding(folder, kernels::DecodeFormat::int8, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "model.int8.panels"));
  EXPECT_EQ(decoded(mapped), expected);
  EXPECT_EQ(mapped.notes, bundle.notes);
  EXPECT_EQ(decoded(load_bundle_for_decoding(folder, kernels::DecodeFormat::int8)), expected)
      << "a small one is read";
}

// The estimate against the file of packed weights: of a bundle in bf16 twelve bits a number in fp32, too.
TEST_F(BundleTest, TheMemoryOfItsMappedWeightsIsKnownBefore) {
  TransformerConfig config = small_config();
  config.width = 256;  // next to whose matrices tables are small
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    Bundle large = make_bundle(config, {small_text(), small_image(), nullptr}, 8, false, 5);
    save_bundle(large, folder, type);
    EXPECT_FALSE(parameters_of_bf16(folder).contains("embedding.weight"))
        << "the codebook's share is in fp32";
    large.transformer->fold_codebooks();
    save_bundle(large, folder, type);
    const std::set<std::string> of_bf16 = parameters_of_bf16(folder);
    EXPECT_EQ(of_bf16.contains("embedding.weight"), type == at::kBFloat16);
    const Bundle shapes = load_bundle_shapes(folder);
    for (const char* precision : {"fp32", "bf16", "int8"}) {
      const DecodePrecision decode = parse_decode_precision(precision);
      load_bundle_for_decoding(folder, decode.weights, 0);
      double held = 0;
      const SafetensorsFile file(folder / concat("model.", precision, ".panels"));
      for (const auto& [name, view] : file.tensors()) held += static_cast<double>(view.bytes.size());
      const DecodingMemory memory =
          decoding_memory(*shapes.transformer, decode, 1, 16, {.mapped = true, .of_bf16 = of_bf16});
      EXPECT_LE(static_cast<double>(memory.weights), held) << precision << " of " << type;
      EXPECT_GT(static_cast<double>(memory.weights), 0.95 * held) << precision << " of " << type;
    }
  }
}

TEST_F(BundleTest, MappedForDecodingItsWeightsMayBeOfAnyFloatingType) {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    save_bundle(bundle, folder, type);
    const std::vector<float> expected = decoded(load_bundle(folder));
    EXPECT_EQ(decoded(load_bundle_for_decoding(folder, kernels::DecodeFormat::int8, 0)), expected) << type;
  }
}

// Packed weights save memory; where they can lie nowhere, a bundle is read as it is.
TEST_F(BundleTest, WithoutAPlaceForPackedWeightsItIsReadForDecoding) {
  save_bundle(bundle, folder);
  const std::vector<float> expected = decoded(load_bundle(folder));
  std::filesystem::create_directories(folder / "model.int8.panels" / "occupied");
  ::setenv("XDG_CACHE_HOME", "/dev/null", 1);
  const Bundle read = load_bundle_for_decoding(folder, kernels::DecodeFormat::int8, 0);
  ::unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(decoded(read), expected);
  EXPECT_EQ(read.notes, bundle.notes);
}

TEST_F(BundleTest, AForgedConfigIsRefusedBeforeWeightsAreMapped) {
  save_bundle(bundle, folder);
  std::string yaml = read_file_text(folder / "bundle.yaml");
  yaml.replace(yaml.find("width: 64"), 9, "width: 96");
  write_file_atomically(folder / "bundle.yaml", yaml);
  try {
    (void)load_bundle_for_decoding(folder, kernels::DecodeFormat::int8, 0);
    ADD_FAILURE() << "a bundle of another width was mapped";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("embedding.weight"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "model.int8.panels"));
}

TEST_F(BundleTest, SavingAgainReplacesTheWhole) {
  save_bundle(bundle, folder);
  bundle.transformer->fold_codebooks();
  bundle.notes.clear();
  save_bundle(bundle, folder);
  const Bundle loaded = load_bundle(folder);
  EXPECT_TRUE(loaded.notes.empty());
  EXPECT_FALSE(loaded.transformer->has_codebooks());
  EXPECT_TRUE(loaded.transformer->logits(sequence()).equal(bundle.transformer->logits(sequence())));
}

TEST_F(BundleTest, RefusesViewsThatTheCameraDoesNotHave) {
  sequence::Vocabulary larger = bundle.vocabulary();
  sequence::append_views(larger, {geometry::kAzimuthBins / 2, geometry::kElevationBins});
  bundle.transformer = grow_vocabulary(*bundle.transformer, larger, 1);
  save_bundle(bundle, folder);
  EXPECT_THROW(load_bundle(folder), Error);
}

TEST_F(BundleTest, GrownBundlesLoadToo) {
  sequence::Vocabulary larger = bundle.vocabulary();
  sequence::append_views(larger, {geometry::kAzimuthBins, geometry::kElevationBins});
  bundle.transformer = grow_vocabulary(*bundle.transformer, larger, 1);
  save_bundle(bundle, folder);
  EXPECT_EQ(load_bundle(folder).vocabulary().fingerprint(), larger.fingerprint());
}

TEST_F(BundleTest, MissingPartsAreNamed) {
  EXPECT_NE(error_of_loading().find("no such folder"), std::string::npos);
  for (const char* part :
       {"bundle.yaml", "vocabulary.json", "text_tokenizer.json", "image_tokenizer", "model.safetensors"}) {
    save_bundle(bundle, folder);
    std::filesystem::remove_all(folder / part);
    EXPECT_NE(error_of_loading().find(part), std::string::npos) << part << ": " << error_of_loading();
    std::filesystem::remove_all(folder);
  }
}

TEST_F(BundleTest, AForgedWidthIsRefusedBeforeMemoryIsTaken) {
  save_bundle(bundle, folder);
  std::string text = read_file_text(folder / "bundle.yaml");
  const std::size_t at = text.find("width: ");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, text.find('\n', at) - at, "width: 65536");
  write_file_atomically(folder / "bundle.yaml", std::string_view(text));
  EXPECT_NE(error_of_loading().find("do not belong together"), std::string::npos) << error_of_loading();
}

TEST_F(BundleTest, TruncatedFilesAreRefused) {
  for (const char* part : {"bundle.yaml", "vocabulary.json", "text_tokenizer.json", "model.safetensors"}) {
    save_bundle(bundle, folder);
    const auto bytes = read_file_bytes(folder / part);
    write_file_atomically(folder / part, std::span(bytes).first(bytes.size() / 2));
    EXPECT_NE(error_of_loading(), "") << part;
  }
}

// Its marker is there, and another file of it is not, or not whole.
TEST_F(BundleTest, EveryFileThatIsMissingOrCutIsNoticed) {
  bundle.words.emplace().add_caption("a red chair");
  save_bundle(bundle, folder);
  ASSERT_EQ(error_of_loading(), "");
  for (const std::filesystem::path& file : files_below(folder)) {
    const std::string name = file.lexically_relative(folder).generic_string(), whole = read_file_text(file);
    std::filesystem::remove(file);
    EXPECT_NE(error_of_loading(), "") << name << " is missing";
    for (const std::size_t size :
         {std::size_t{0}, whole.size() / 3, whole.size() * 2 / 3, whole.size() - 20}) {
      write_file_atomically(file, std::string_view(whole).substr(0, size));
      EXPECT_NE(error_of_loading(), "") << name << " has " << size << " of " << whole.size() << " bytes";
    }
    write_file_atomically(file, whole);
  }
  EXPECT_EQ(error_of_loading(), "");
}

TEST_F(BundleTest, AnotherVocabularyIsRefused) {
  save_bundle(bundle, folder);
  tokenizers::TextTokenizer::from_merges({{"a", "b"}}).save(folder / "text_tokenizer.json");
  EXPECT_NE(error_of_loading().find("another vocabulary"), std::string::npos);
  save_bundle(bundle, folder);
  write_file_atomically(folder / "vocabulary.json", small_vocabulary().to_json());
  EXPECT_NE(error_of_loading().find("another vocabulary"), std::string::npos);
}

TEST_F(BundleTest, LayoutVocabularyAndCodebooksFollowFromTheTokenizers) {
  const Bundle all = make_bundle(small_config(), {small_text(), small_image(), small_shape()}, 8, true, 5);
  const sequence::SequenceLayout layout{.text_capacity = 8,
                                        .image_grid_side = 8,
                                        .geometry_lengths = {8},
                                        .geometry_grid_side = 2,
                                        .colour_codes = 3,
                                        .colour_grid_side = 0};
  EXPECT_EQ(all.layout(), layout);
  const sequence::Vocabulary vocabulary =
      sequence::make_vocabulary({.text = 258, .image = 12, .geometry = 20, .colour = 7, .views = {24, 7}});
  EXPECT_EQ(all.vocabulary().ranges(), vocabulary.ranges());
  EXPECT_TRUE(all.transformer->has_codebooks());
  const Bundle shape = make_bundle(small_config(), {nullptr, nullptr, small_shape(0)}, 8, false, 5);
  EXPECT_EQ(shape.layout().text_capacity, 1);
  EXPECT_EQ(shape.layout().image_codes(), 0);
  EXPECT_EQ(shape.layout().colour_codes, 0);
  EXPECT_FALSE(shape.vocabulary().has(sequence::kRangeColour));
}

// Of the same vocabulary, but with more or fewer codes to an image or a shape.
TEST_F(BundleTest, TokenizersOfAnotherLayoutAreRefused) {
  bundle = make_bundle(small_config(), {small_text(), small_image(), small_shape()}, 8, false, 5);
  const auto with = [&](auto image, auto shape) {
    save_bundle(bundle, folder);
    tokenizers::TokenizerSet(small_text(), std::move(image), std::move(shape)).save(folder);
    return error_of_loading();
  };
  EXPECT_EQ(with(small_image(), small_shape()), "");
  EXPECT_NE(with(small_image(32), small_shape()).find("its image tokenizer"), std::string::npos);
  EXPECT_NE(with(small_image(), small_shape(4)).find("its shape tokenizer"), std::string::npos);
}

TEST_F(BundleTest, ARunFolderPointsToTheBundleInIt) {
  std::filesystem::create_directories(folder);
  EXPECT_EQ(error_of_loading().find("Did you mean"), std::string::npos) << error_of_loading();
  save_bundle(bundle, folder / "bundle");
  EXPECT_NE(error_of_loading().find(concat("Did you mean ", folder / "bundle", "?")), std::string::npos)
      << error_of_loading();
}

TEST_F(BundleTest, AnUnwritablePlaceLeavesNothing) {
  write_file_atomically(folder, std::string_view("a file in the way"));
  EXPECT_THROW(save_bundle(bundle, folder / "inside"), Error);
}

}  // namespace
}  // namespace omni::model
