#include "read_mtl.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "omni/core/error.h"
#include "omni/core/utf8.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

constexpr const char* kWithoutColours = "is read without material colours that are no finite numbers";
constexpr const char* kWithoutOptions = "is read without options of textures";

class MtlReader {
 public:
  explicit MtlReader(ReadNotes& notes) : notes_(notes) {}

  std::vector<MtlMaterial> read(std::string_view text) {
    for (std::string_view line; next_line(text, line);) {
      ++line_;
      statement(line);
    }
    return std::move(materials_);
  }

 private:
  void statement(std::string_view line) {
    const std::string_view keyword = next_word(line);
    if (equal_words(keyword, "newmtl")) {
      materials_.emplace_back().name = std::string(mtl_name(line));
      return;
    }
    if (materials_.empty()) return;
    MtlMaterial& material = materials_.back();
    if (equal_words(keyword, "kd"))
      read_colour(line, "Kd", material.diffuse);
    else if (equal_words(keyword, "ke"))
      read_colour(line, "Ke", material.emission);
    else if (equal_words(keyword, "map_kd"))
      read_map(line, material.diffuse_map);
    else if (equal_words(keyword, "map_ke"))
      read_map(line, material.emission_map);
  }

  std::string here(std::string_view statement) const {
    return concat("\"", printable(statement), "\" in line ", line_, " of its materials");
  }

  // One number stands for all three.
  void read_colour(std::string_view line, const char* keyword, std::optional<Vec3>& colour) {
    const std::string_view whole = line;
    line = line.substr(0, line.find('#'));
    Vec3 read;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string_view word = next_word(line);
      if (word.empty() && i == 1) {
        read = {read[0], read[0], read[0]};
        break;
      }
      const auto value = parse_number<double>(word);
      if (!value || !std::isfinite(float(*value))) {
        notes_.add(kWithoutColours, here(concat(keyword, whole)));
        return;
      }
      read[i] = float(*value);
    }
    colour = read;
  }

  // The next word as a number, unless it is the last one, which is the file.
  static std::optional<double> next_number(std::string_view& rest) {
    std::string_view after = rest;
    const auto value = parse_number<double>(next_word(after));
    std::string_view left = after;
    if (!value || next_word(left).empty()) return std::nullopt;
    rest = after;
    return value;
  }

  void read_map(std::string_view rest, std::optional<MtlMap>& target) {
    MtlMap map;
    read_options(rest, map);
    map.file = std::string(mtl_name(without_trailing_options(rest, map)));
    if (map.file.empty())
      notes_.add("is read without textures that name no file", here("map"));
    else
      target = map;
  }

  void read_options(std::string_view& rest, MtlMap& map) {
    for (;;) {
      std::string_view after = rest;
      const std::string_view option = next_word(after);
      if (option.size() < 2 || option.front() != '-') return;
      if (!read_option(option.substr(1), after, map)) return;
      rest = after;
    }
  }

  // Some programs write known options behind the file, where a part of a name may look like one: what is not
  // options up to the end belongs to the name.
  std::string_view without_trailing_options(std::string_view name, MtlMap& map) {
    std::size_t tries = 16;  // more than there are options
    for (std::size_t at = name.find(" -"); at != name.npos && tries > 0; at = name.find(" -", at + 1)) {
      std::string_view rest = name.substr(at);
      if (mtl_name(name.substr(0, at)).empty() || !is_known_option(next_word(rest))) continue;
      --tries;
      const std::string_view options = name.substr(at, name.find('#', at) - at);
      constexpr std::string_view kInPlaceOfTheFile = " .";
      const std::string closed = concat(options, kInPlaceOfTheFile);
      MtlMap read = map;
      std::string_view left = closed;
      read_options(left, read);
      if (mtl_name(left) != mtl_name(kInPlaceOfTheFile)) continue;
      map = read;
      return name.substr(0, at);
    }
    return name;
  }

  static bool is_known_option(std::string_view word) {
    constexpr const char* kKnown[] = {"-s",    "-o",  "-t",  "-clamp",  "-blendu", "-blendv", "-imfchan",
                                      "-type", "-cc", "-mm", "-texres", "-bm",     "-boost",  "-colorspace"};
    return std::any_of(std::begin(kKnown), std::end(kKnown),
                       [&](const char* known) { return equal_words(word, known); });
  }

  static std::optional<bool> next_switch(std::string_view& rest) {
    std::string_view after = rest;
    const std::string_view word = next_word(after);
    const bool on = equal_words(word, "on");
    if (!on && !equal_words(word, "off")) return std::nullopt;
    rest = after;
    return on;
  }

  // False where it is no option but the begin of a file's name.
  bool read_option(std::string_view option, std::string_view& rest, MtlMap& map) {
    const auto is = [&](std::string_view name) { return equal_words(option, name); };
    if (is("s") || is("o") || is("t")) {
      read_vector(option, rest, is("s") ? &map.scale : is("o") ? &map.offset : nullptr);
    } else if (is("clamp")) {
      map.clamp = next_switch(rest).value_or(true);
    } else if (is("blendu") || is("blendv")) {
      next_switch(rest);  // how a picture is filtered, which a colour does not show
    } else if (is("imfchan") || is("type")) {
      next_word(rest);
    } else if (is("colorspace")) {
      const std::string_view space = next_word(rest);
      if (!equal_words(space, "srgb")) notes_.add(kWithoutOptions, here(concat("-colorspace ", space)));
    } else if (is("cc")) {
      if (next_switch(rest).value_or(true)) notes_.add(kWithoutOptions, here("-cc on"));
    } else if (is("mm")) {
      const std::optional<double> base = next_number(rest), gain = next_number(rest);
      if (base.value_or(0) != 0 || gain.value_or(1) != 1) notes_.add(kWithoutOptions, here("-mm"));
    } else if (is("texres") || is("bm") || is("boost")) {
      next_number(rest);
    } else {
      if (option.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") != option.npos)
        return false;
      notes_.add(kWithoutOptions, here(concat("-", option)));
      next_switch(rest);
      while (next_number(rest)) {
      }
    }
    return true;
  }

  // One to three numbers. Turbulence (null) is not applied.
  void read_vector(std::string_view option, std::string_view& rest, Vec3* target) {
    Vec3 read = target ? *target : Vec3{};
    bool finite = true;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::optional<double> value = next_number(rest);
      if (!value) break;
      finite = finite && std::isfinite(float(*value));
      read[i] = float(*value);
    }
    if (!finite || (!target && !(read == Vec3{})))
      notes_.add(kWithoutOptions, here(concat("-", option)));
    else if (target)
      *target = read;
  }

  ReadNotes& notes_;
  std::vector<MtlMaterial> materials_;
  std::size_t line_ = 0;
};

}  // namespace

std::string_view mtl_name(std::string_view rest) {
  constexpr std::string_view kBlanks = " \t\v\f";
  const std::size_t begin = rest.find_first_not_of(kBlanks), end = rest.find_last_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  std::string_view name = rest.substr(begin, end - begin + 1);
  const char quote = name.front();
  if (name.size() >= 2 && (quote == '"' || quote == '\'') && name.find(quote, 1) == name.size() - 1)
    name = name.substr(1, name.size() - 2);
  return name;
}

std::vector<MtlMaterial> parse_mtl(std::string_view text, ReadNotes& notes) {
  return MtlReader(notes).read(text);
}

}  // namespace omni::geometry
