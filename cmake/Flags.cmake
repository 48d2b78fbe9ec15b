# SPDX-License-Identifier: MIT
#
# Flags.cmake - what every translation unit of ours is compiled and linked with.
#
# tt_flags    ours: warnings, hardening, sanitizers, the build's TT_ switches. PRIVATE.
# tt_exported what a program that uses tutti must also be built with. INTERFACE of
#             the library and Cflags of tutti.pc.
include(CheckCCompilerFlag)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(tt_flags INTERFACE)
add_library(tt_exported INTERFACE)

set(c_or_cxx "$<COMPILE_LANGUAGE:C,CXX>")

# A flag that one of our compilers or targets lacks is probed, not guessed.
function(tt_add_flag_if_known target scope flag)
	string(MAKE_C_IDENTIFIER "TT_HAVE${flag}" known)
	check_c_compiler_flag("-Werror ${flag}" ${known})
	if(${known})
		target_compile_options(${target} ${scope} "$<${c_or_cxx}:${flag}>")
	endif()
endfunction()

target_compile_options(tt_flags INTERFACE
	"$<${c_or_cxx}:-Wall;-Wextra;-Wconversion;-Wshadow>"
	"$<${c_or_cxx}:-fno-omit-frame-pointer>"
	# Sites in messages read src/net/tcp.c:88, wherever the tree lies.
	"$<${c_or_cxx}:-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=>"
	"$<${c_or_cxx}:-fstack-protector-strong>")
# The libraries of Laws.cmake show their internal names to the tests.
if(NOT TT_LAWS)
	target_compile_options(tt_flags INTERFACE "$<${c_or_cxx}:-fvisibility=hidden>")
endif()
target_link_libraries(tt_flags INTERFACE Threads::Threads)
# Defined empty, so that a file may define it too without a warning.
target_compile_definitions(tt_flags INTERFACE "$<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>")
if(TT_WERROR)
	target_compile_options(tt_flags INTERFACE "$<${c_or_cxx}:-Werror>")
endif()

# IBT only: a switch between stacks is not shadow-stack safe, so SHSTK is not claimed.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
	tt_add_flag_if_known(tt_flags INTERFACE -fcf-protection=branch)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
	tt_add_flag_if_known(tt_flags INTERFACE -mbranch-protection=standard)
endif()

if(TT_SANITIZE)
	target_compile_options(tt_flags INTERFACE "$<${c_or_cxx}:-fsanitize=${TT_SANITIZE}>")
	target_link_options(tt_flags INTERFACE -fsanitize=${TT_SANITIZE})
	if(TT_FUZZ)
		target_compile_options(tt_flags INTERFACE "$<${c_or_cxx}:-fsanitize=fuzzer-no-link>")
	endif()
	if(TT_SANITIZE MATCHES "undefined")
		target_compile_options(tt_flags INTERFACE "$<${c_or_cxx}:-fno-sanitize-recover=all>")
	endif()
else()
	# _FORTIFY_SOURCE needs an optimising build; the sanitizers check more.
	target_compile_options(tt_flags INTERFACE
		"$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
endif()

# Our own switches: -DNDEBUG of a build type decides nothing.
if(NOT TT_ASSERT)
	target_compile_definitions(tt_flags INTERFACE TT_NO_ASSERT)
endif()
if(TT_VERIFY)
	target_compile_definitions(tt_flags INTERFACE TT_VERIFY)
endif()
if(TT_BREAK_LAW)
	target_compile_definitions(tt_flags INTERFACE TT_BREAK_LAW=${TT_BREAK_LAW})
endif()

target_link_options(tt_flags INTERFACE
	-Wl,-z,relro -Wl,-z,noexecstack -Wl,-z,separate-code)
if(TT_STATIC_EXE)
	target_link_options(tt_flags INTERFACE "$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-static>")
endif()

# A task's stack ends in a guard that a large frame must not step over; lazy binding
# would run the dynamic loader on a task's stack; goto past a block macro is silent
# under -Wall.
tt_add_flag_if_known(tt_exported INTERFACE -fstack-clash-protection)
target_compile_options(tt_exported INTERFACE
	"$<$<COMPILE_LANG_AND_ID:C,GNU>:-Wjump-misses-init>")
target_link_options(tt_exported INTERFACE -Wl,-z,now)

# Valgrind takes a switch between stacks that it does not know for one huge allocation; the
# header makes the library tell it of each (requests that cost nothing outside of valgrind).
option(TT_VALGRIND "Tell valgrind about the stacks of tasks" OFF)
if(TT_VALGRIND)
	find_path(TT_VALGRIND_INCLUDE valgrind/valgrind.h REQUIRED)
	target_compile_definitions(tt_flags INTERFACE TT_VALGRIND)
endif()

# Coverage: the library counts its lines and branches (gcc) or conditions (clang 18 and
# later: MC/DC); tests/coverage/flush.c writes the counts of processes that end early.
# -O0, nothing inlined, without the internal assertions: a branch in the table is a branch in
# the source.
set(TT_COVERAGE OFF CACHE BOOL "Count what the tests execute (tools/coverage.py)")
if(TT_COVERAGE)
	set(counted "$<AND:$<STREQUAL:$<TARGET_PROPERTY:NAME>,tutti_objects>,$<COMPILE_LANGUAGE:C>>")
	set(program "$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>")
	if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
		set(count -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc -fprofile-update=atomic)
		set(link -fprofile-instr-generate)
	else()
		set(count --coverage -fprofile-update=atomic -fprofile-abs-path -Dalways_inline=unused)
		set(link --coverage -Wl,--wrap=__gcov_fork)
	endif()
	add_library(tt_flush OBJECT ${PROJECT_SOURCE_DIR}/tests/coverage/flush.c)
	target_compile_options(tt_flags INTERFACE "$<${counted}:${count}>")
	target_link_options(tt_flags INTERFACE
		"$<${program}:${link};-Wl,--wrap=_exit;-Wl,--wrap=abort;-Wl,--wrap=sigaction>")
	target_link_libraries(tt_flags INTERFACE "$<${program}:$<TARGET_OBJECTS:tt_flush>>")
endif()
