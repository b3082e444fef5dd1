#include "html.h"

#include <cstdint>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/evaluation/report.h"

namespace omni::evaluation {
namespace {

constexpr const char* kStyle = R"css(
:root { --ink:#1c2430; --soft:#5b6675; --line:#e3e7ed; --paper:#ffffff; --back:#f5f7fa; --accent:#2f6fde; }
* { box-sizing:border-box; }
body { margin:0; background:var(--back); color:var(--ink); font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif; }
main { max-width:1140px; margin:0 auto; padding:32px 20px 80px; }
h1 { font-size:28px; margin:0 0 4px; letter-spacing:-.01em; }
h2 { font-size:20px; margin:40px 0 12px; }
h3 { font-size:16px; margin:24px 0 8px; }
p.note { color:var(--soft); max-width:74ch; margin:4px 0 12px; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(165px,1fr)); gap:12px; margin:20px 0; }
.card { background:var(--paper); border:1px solid var(--line); border-radius:10px; padding:14px 16px; }
.card b { display:block; font-size:26px; font-weight:650; letter-spacing:-.02em; }
.card span { color:var(--soft); font-size:13px; }
.panel { background:var(--paper); border:1px solid var(--line); border-radius:10px; padding:14px 16px; margin:12px 0; overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:14px; }
th,td { padding:6px 10px; text-align:right; border-bottom:1px solid var(--line); white-space:nowrap; }
th { color:var(--soft); font-weight:600; }
th:first-child,td:first-child { text-align:left; }
tr.all td { font-weight:650; background:#f8fafc; }
td small { color:var(--soft); }
.chart { width:100%; max-width:760px; height:auto; display:block; font:12px system-ui,sans-serif; fill:var(--soft); }
.chart .grid { stroke:var(--line); stroke-width:1; }
.chart .whisker { stroke:#39424f; stroke-width:1.4; }
.gallery { display:grid; grid-template-columns:repeat(auto-fill,minmax(510px,1fr)); gap:14px; }
figure { margin:0; background:var(--paper); border:1px solid var(--line); border-radius:10px; padding:12px 14px; }
figure p { margin:0 0 8px; font-weight:600; }
figure .row { display:flex; align-items:center; gap:10px; margin:2px 0; }
figure .row > span { width:64px; flex:none; color:var(--soft); font-size:12px; }
figure img { max-width:100%; height:auto; min-width:0; border-radius:4px; background:#fff; }
figcaption { color:var(--soft); font-size:13px; margin-top:6px; }
.tag { display:inline-block; background:#eaf1fd; color:#2457b0; border-radius:20px; padding:0 9px; font-size:12px; margin-right:6px; }
footer { color:var(--soft); font-size:13px; margin-top:48px; }
@media (max-width:640px) { .gallery { grid-template-columns:1fr; } }
)css";

// Length of the well-formed UTF-8 sequence at `i`; 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0 || i + length > text.size()) return 0;
  std::uint32_t code = lead & (0xFFu >> (length + 1));
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i + k) & 0x3Fu);
  }
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  return surrogate || overlong || code > 0x10FFFF ? 0 : length;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
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
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>" +
         escape_html(title) + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<main>\n" + body +
         "</main>\n</body>\n</html>\n";
}

}  // namespace omni::evaluation
