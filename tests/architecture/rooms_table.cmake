# Fails where the table of rooms in docs/architecture.md differs from what the build lets each room see.
#   cmake -DROOMS=<file> -DDOCUMENT=<architecture.md> -P rooms_table.cmake
# ROOMS has a line "<room> <room that it may use>..." per room, in the order in which the rooms build on each other.
# The table lists rooms, or says "the rooms above" or "the rooms above but <room>"; a dash stands for none.
cmake_minimum_required(VERSION 3.22)

file(STRINGS "${ROOMS}" _built)
file(READ "${DOCUMENT}" _document)
string(REPLACE ";" "," _document "${_document}")
string(REGEX MATCHALL "\n\\| `[a-z]+` \\|[^\n]*" _rows "${_document}")

set(_documented)
set(_above)
foreach(_row ${_rows})
  string(REGEX MATCH "^\n\\| `([a-z]+)` \\|[^|]*\\| ([^|]*) \\|$" _matched "${_row}")
  if(NOT _matched)
    message(FATAL_ERROR "${DOCUMENT}: a row of the table of rooms has not three columns:${_row}")
  endif()
  set(_room ${CMAKE_MATCH_1})
  set(_words "${CMAKE_MATCH_2}")
  if(_words MATCHES "^the rooms above( but ([a-z]+))?$")
    set(_may_use ${_above})
    list(REMOVE_ITEM _may_use "${CMAKE_MATCH_2}")
  elseif(_words STREQUAL "–")
    set(_may_use)
  else()
    string(REPLACE ", " ";" _may_use "${_words}")
  endif()
  list(JOIN _may_use " " _line)
  string(STRIP "${_room} ${_line}" _line)
  list(APPEND _documented "${_line}")
  list(APPEND _above ${_room})
endforeach()

if(NOT _documented STREQUAL _built)
  list(JOIN _documented "\n  " _documented)
  list(JOIN _built "\n  " _built)
  message(FATAL_ERROR "${DOCUMENT} says that rooms may use\n  ${_documented}\nbut src/CMakeLists.txt lets them use\n  ${_built}")
endif()
