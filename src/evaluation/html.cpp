#include "html.h"

#include <cstdint>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/utf8.h"
#include "omni/evaluation/report.h"
#include "page_assets.h"

namespace omni::evaluation {
namespace {

// Makes a browser refuse whatever the page does not hold.
constexpr const char* kNothingFromOutside =
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
    "'unsafe-inline'; script-src 'unsafe-inline'\"/>\n";

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = character_bytes(text.substr(i));
    const char c = text[i];
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (length > 1 || static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') {
      out += c == '\x7f' ? std::string_view() : text.substr(i, length);
    }
    i += length;
  }
  return out;
}

std::string note(const std::string& text) { return "<p class=\"note\">" + escape_html(text) + "</p>\n"; }

std::string base64(const std::string& bytes) {
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? digits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::string inline_picture(const std::filesystem::path& png, const std::string& description) {
  try {
    return "<img alt=\"" + escape_html(description) + "\" src=\"data:image/png;base64," +
           base64(read_file_text(png)) + "\"/>";
  } catch (const Error&) {
    return "<small>" + escape_html(png.filename().string()) + " is missing</small>";
  }
}

std::string html_page(const std::string& title, const std::string& body) {
  return concat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n",
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n",
                kNothingFromOutside, "<title>", escape_html(title), "</title>\n<style>", kPageStyle,
                "</style>\n</head>\n<body>\n<main>\n", body, "</main>\n</body>\n</html>\n");
}

}  // namespace omni::evaluation
