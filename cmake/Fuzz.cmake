# SPDX-License-Identifier: MIT
#
# Fuzz.cmake - every X_fuzz.c (or .cc) is a fuzz target; tests/fuzz/X/ is its corpus.
#
# With TT_FUZZ (clang) it becomes a libFuzzer program. In every other build that has tests it
# is linked with tests/fuzz/replay_main.c, and ctest runs each file of the corpus as "fuzz.X",
# label fuzz-corpus. A target of tests/fuzz/ that needs more than the library says so in a
# comment, and is left out where that is not built:
#
#	fuzz-needs: tutti_gateway_core
if((NOT TT_FUZZ AND NOT BUILD_TESTING) OR TT_LAWS OR CMAKE_CROSSCOMPILING)
	return()
endif()

set(tt_fuzz_folder ${PROJECT_SOURCE_DIR}/tests/fuzz)
set(tt_fuzz_runner "")
if(TT_SANITIZE MATCHES "thread")
	set(tt_fuzz_runner ${PROJECT_SOURCE_DIR}/tools/no_aslr.sh)
endif()

function(tt_fuzz_corpus_test target)
	string(REGEX REPLACE "_fuzz$" "" short ${target})
	target_sources(${target} PRIVATE ${tt_fuzz_folder}/replay_main.c)
	target_compile_definitions(${target} PRIVATE TT_FUZZ_REPLAY)
	add_test(NAME fuzz.${short}
		COMMAND ${tt_fuzz_runner} $<TARGET_FILE:${target}> ${tt_fuzz_folder}/${short})
	set_tests_properties(fuzz.${short} PROPERTIES LABELS fuzz-corpus TIMEOUT 120
		WORKING_DIRECTORY ${PROJECT_BINARY_DIR} ENVIRONMENT
		"ASAN_OPTIONS=detect_stack_use_after_return=0;UBSAN_OPTIONS=print_stacktrace=1")
endfunction()

# tt_fuzz(<file> <libraries...>)
function(tt_fuzz file)
	get_filename_component(target ${file} NAME_WE)
	add_executable(${target} ${file})
	target_link_libraries(${target} PRIVATE ${ARGN} tt_flags tt_exported m)
	target_include_directories(${target} PRIVATE ${tt_include_dirs} ${tt_fuzz_folder})
	if(file MATCHES "\\.cc$")
		target_include_directories(${target} SYSTEM PRIVATE ${SIMDJSON_INCLUDE})
	endif()
	if(TT_FUZZ)
		target_link_options(${target} PRIVATE -fsanitize=fuzzer)
	else()
		tt_fuzz_corpus_test(${target})
	endif()
endfunction()

# tt_fuzz_all(<folder> <libraries...>)
function(tt_fuzz_all folder)
	file(GLOB files CONFIGURE_DEPENDS
		${PROJECT_SOURCE_DIR}/${folder}/*_fuzz.c ${PROJECT_SOURCE_DIR}/${folder}/*_fuzz.cc)
	foreach(file IN LISTS files)
		tt_fuzz(${file} ${ARGN})
	endforeach()
endfunction()

foreach(adapter IN LISTS TT_ADAPTERS)
	tt_fuzz_all(ext/${adapter} tutti-ext-${adapter} tutti)
endforeach()
if(TT_GATEWAY)
	tt_fuzz_all(apps/gateway tutti_gateway_core)
endif()

file(GLOB files CONFIGURE_DEPENDS ${tt_fuzz_folder}/*_fuzz.c)
foreach(file IN LISTS files)
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
	file(STRINGS ${file} needs REGEX "fuzz-needs:")
	string(REGEX REPLACE ".*fuzz-needs: *([a-z_-]+).*" "\\1" needs "${needs}")
	if(needs AND NOT TARGET ${needs})
		message(STATUS "tests/fuzz: ${file} is not built, ${needs} is missing")
		continue()
	endif()
	tt_fuzz(${file} ${needs} tutti)
endforeach()
