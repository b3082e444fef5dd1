// Trained models know tokens, positions and slots by number: what a document becomes is compared with a
// stored text, tests/fixtures/sequence/documents.txt, which may grow but not change.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "omni/sequence/packed_sequence.h"
#include "omni/sequence/task.h"
#include "sequence_fixtures.h"

namespace omni::sequence {
namespace {

using namespace testing;

struct Setting {
  std::string title;
  SequenceLayout layout;
  bool views = true;
};

std::vector<Setting> settings() {
  return {
      {"cubes, three lengths, views", small_layout(), true},
      {"plain sequences, one length, no colour, no views",
       {.text_capacity = 3, .image_grid_side = 1, .geometry_lengths = {4}},
       false},
      {"a cube of colours, lengths that are no powers of two, views",
       {.text_capacity = 2,
        .image_grid_side = 3,
        .geometry_lengths = {1, 3, 6},
        .colour_codes = 8,
        .colour_grid_side = 2},
       true},
  };
}

// How much of what a document may hold is there: everything at full length; as little as can be, with every
// control unknown but one extent of the box; or everything but the conditions, which are dropped.
enum class Filling { whole, sparse, dropped };

std::vector<std::int32_t> codes(std::int64_t count, std::int32_t first, std::int32_t size) {
  std::vector<std::int32_t> result;
  for (std::int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<std::int32_t>((first + 5 * i) % size));
  return result;
}

Segment filled_segment(const TaskSegment& wanted, std::int32_t number, const Setting& setting,
                       Filling filling) {
  const SequenceLayout& layout = setting.layout;
  const Vocabulary vocabulary = small_vocabulary(setting.views);
  const auto size = [&](std::string_view range) { return vocabulary.range(range).size; };
  const bool whole = filling != Filling::sparse;
  Segment segment;
  segment.carries_loss = wanted.loss;
  segment.dropped = filling == Filling::dropped && !wanted.loss;
  if (wanted.modality == Modality::text) {
    segment.payload = TextPayload{codes(whole ? layout.text_capacity : 1, number, size(kRangeText))};
  } else if (wanted.modality == Modality::image) {
    ImagePayload image;
    image.codes = codes(layout.image_codes(), number, size(kRangeImage));
    if (whole && wanted.view && setting.views) {
      image.azimuth = 20 + number;
      image.elevation = 6 - number;
    }
    segment.payload = image;
  } else {
    ShapePayload shape;
    if (whole) {
      shape.size = 30 + number;
      shape.box = {31, 2 + number, 0};
    } else {
      shape.box[1] = 7;
    }
    const std::int64_t length = whole ? layout.geometry_lengths.back() : layout.geometry_lengths.front();
    shape.geometry = codes(length, number, size(kRangeGeometry));
    if (whole) shape.colour = codes(layout.colour_codes, number, size(kRangeColour));
    segment.payload = shape;
  }
  return segment;
}

Document filled_document(const Task& task, const Setting& setting, Filling filling) {
  Document document;
  for (const TaskSegment& segment : task.segments) {
    const auto number = static_cast<std::int32_t>(document.segments.size());
    document.segments.push_back(filled_segment(segment, number, setting, filling));
  }
  return document;
}

std::string described(const AllowedTokens& allowed) {
  std::ostringstream text;
  for (int i = 0; i < allowed.run_count; ++i) {
    const auto& run = allowed.runs[static_cast<std::size_t>(i)];
    text << (i > 0 ? ", " : "") << run.first;
    if (run.size > 1) text << " to " << run.first + run.size - 1;
  }
  return text.str();
}

// One line per token, as the first lines of the stored text explain.
void describe(const PackedSequence& packed, std::int64_t first, std::ostream& out) {
  for (auto i = static_cast<std::size_t>(first); i < packed.tokens.size(); ++i) {
    out << packed.tokens[i] << ' ' << modality_name(packed.streams[i])[0] << packed.segments[i] << ' '
        << packed.slots[i] << ' ' << packed.offsets[i] << ' ' << packed.rows[i] << ' ' << packed.columns[i];
    if (packed.allowed[i] >= 0) {
      out << ' ' << static_cast<char>('a' + packed.allowed[i])
          << modality_name(packed.target_modalities[i])[0] << packed.loss_weights[i];
    }
    out << '\n';
  }
}

void describe(const Setting& setting, std::ostream& out) {
  const Vocabulary vocabulary = small_vocabulary(setting.views);
  const std::pair<Filling, const char*> fillings[] = {
      {Filling::whole, "whole"}, {Filling::sparse, "sparse"}, {Filling::dropped, "conditions dropped"}};
  PackedSequence packed;
  std::ostringstream documents;
  for (const auto& [filling, name] : fillings) {
    for (const std::string& task : built_in_task_names()) {
      // One setting is enough to tell what dropping does.
      if (filling == Filling::dropped && setting.title != settings().front().title) continue;
      const std::int64_t first = packed.length();
      append_document(packed, filled_document(built_in_task(task), setting, filling), vocabulary,
                      setting.layout);
      documents << "document " << task << ", " << name << '\n';
      describe(packed, first, documents);
    }
  }
  out << "setting " << setting.title << '\n';
  for (std::size_t i = 0; i < packed.allowed_sets.size(); ++i)
    out << "set " << static_cast<char>('a' + i) << ": " << described(packed.allowed_sets[i]) << '\n';
  out << documents.str();
}

// What errors call the places of a document with every part.
void describe_places(std::ostream& out) {
  const Setting setting = settings().front();
  const Vocabulary vocabulary = small_vocabulary(setting.views);
  Task task = built_in_task("text->image@view->shape");
  task.segments.push_back({.modality = Modality::image});
  Document document = filled_document(task, setting, Filling::whole);
  document.segments.back().dropped = true;
  GrammarWalker walker(vocabulary, setting.layout, plan_of(document));
  out << "places\n";
  for (const std::int32_t token : document_tokens(document, vocabulary, setting.layout)) {
    out << walker.describe_place() << '\n';
    walker.advance(token);
  }
}

std::vector<std::string> lines_of(std::istream&& text) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line[0] != '#') lines.push_back(line);
  }
  return lines;
}

TEST(GoldenDocuments, TokensPlacesChoicesAndLossStayWhatTheyWere) {
  std::ostringstream text;
  for (const Setting& setting : settings()) describe(setting, text);
  describe_places(text);
  const std::filesystem::path stored = OMNI_TEST_FIXTURES "/sequence/documents.txt";
  const std::vector<std::string> wanted = lines_of(std::ifstream(stored)),
                                 found = lines_of(std::istringstream(text.str()));
  if (found == wanted) return;
  const std::filesystem::path written = std::filesystem::path(::testing::TempDir()) / "documents.txt";
  std::ofstream(written) << text.str();
  const auto [here, there] = std::mismatch(found.begin(), found.end(), wanted.begin(), wanted.end());
  const auto heading = std::find_if(std::make_reverse_iterator(here), found.rend(),
                                    [](const std::string& line) { return line.rfind("document", 0) == 0; });
  FAIL() << (heading == found.rend() ? "the start" : *heading) << ": \""
         << (here == found.end() ? "the end" : *here) << "\" instead of \""
         << (there == wanted.end() ? "the end" : *there) << "\" in " << stored << "; all of it is in "
         << written;
}

}  // namespace
}  // namespace omni::sequence
