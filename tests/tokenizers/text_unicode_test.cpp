#include "text_unicode.h"

#include <gtest/gtest.h>

namespace omni::tokenizers {
namespace {

std::string utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

// Cases of The Unicode Standard, annex 15, and its Hangul formula.
TEST(TextUnicode, NormalisationFormC) {
  EXPECT_EQ(normalise_nfc("plain ascii"), "plain ascii");
  EXPECT_EQ(normalise_nfc(utf8(U"e\u0301")), utf8(U"\u00E9"));
  EXPECT_EQ(normalise_nfc(utf8(U"\u212B")), utf8(U"\u00C5"));
  EXPECT_EQ(normalise_nfc(utf8(U"\u1E9B\u0323")), utf8(U"\u1E9B\u0323"));
  EXPECT_EQ(normalise_nfc(utf8(U"q\u0307\u0323")), utf8(U"q\u0323\u0307"));  // marks are put in order
  EXPECT_EQ(normalise_nfc(utf8(U"d\u0323\u0307")), utf8(U"\u1E0D\u0307"));
  EXPECT_EQ(normalise_nfc(utf8(U"\u0958")), utf8(U"\u0915\u093C"));  // excluded from composition
  EXPECT_EQ(normalise_nfc(utf8(U"\u1112\u1161\u11AB")), utf8(U"\uD55C"));
  EXPECT_EQ(normalise_nfc(utf8(U"\u0344")), utf8(U"\u0308\u0301"));
  EXPECT_EQ(normalise_nfc("a\xFF"
                          "e\xCC\x81\xE2\x82"),
            "a\xFF\xC3\xA9\xE2\x82");  // invalid bytes stay
}

TEST(TextUnicode, LowerCase) {
  EXPECT_EQ(to_lower_case(utf8(U"ABC xyz \u00C9\u03A3\u1E9E")), utf8(U"abc xyz \u00E9\u03C3\u00DF"));
  EXPECT_EQ(to_lower_case(utf8(U"\u0130")), utf8(U"i\u0307"));
  EXPECT_EQ(to_lower_case(utf8(U"\u0100\u0101\u2167\u24B6")), utf8(U"\u0101\u0101\u2177\u24D0"));
  EXPECT_EQ(to_lower_case("A\x80\xFF"), "a\x80\xFF");
}

TEST(TextUnicode, RefusesIllFormedSequences) {
  for (const std::string bytes :
       {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5", "\xE2\x82", "\x80"}) {
    EXPECT_FALSE(read_utf8(bytes, 0).valid);
    EXPECT_EQ(read_utf8(bytes, 0).length, 1u);
  }
  EXPECT_EQ(read_utf8("\xF4\x8F\xBF\xBF", 0).code_point, char32_t{0x10FFFF});
}

}  // namespace
}  // namespace omni::tokenizers
