# SPDX-License-Identifier: MIT
#
# Library.cmake - libtutti.a and libtutti.so from one set of objects, and the adapters.

# Lowest layer first; tools/layers.txt says what each may include and call.
set(TT_LAYERS base arch env fiber task wait timer io sched scope sync stream par net
	obs rt sim testing)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
	set(TT_ARCH aarch64)
else()
	set(TT_ARCH ${CMAKE_SYSTEM_PROCESSOR})
endif()

set(tt_sources "")
set(tt_unit_tests "")
foreach(layer IN LISTS TT_LAYERS)
	file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${layer}/*.c)
	foreach(file IN LISTS found)
		if(file MATCHES "_test\\.c$")
			list(APPEND tt_unit_tests ${file})
		elseif(NOT file MATCHES "_fuzz\\.c$")
			list(APPEND tt_sources ${file})
		endif()
	endforeach()
endforeach()
file(GLOB tt_arch_sources CONFIGURE_DEPENDS
	${PROJECT_SOURCE_DIR}/src/arch/${TT_ARCH}/*.S
	${PROJECT_SOURCE_DIR}/src/arch/${TT_ARCH}/*.c)
list(APPEND tt_sources ${tt_arch_sources})

set(tt_include_dirs ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)

# The settings shared by every target made of library sources.
function(tt_library_object target)
	target_include_directories(${target} PRIVATE ${tt_include_dirs})
	target_link_libraries(${target} PRIVATE tt_flags tt_exported)
endfunction()

# The settings of a library that programs link.
function(tt_library_for_users target)
	target_include_directories(${target} PUBLIC
		$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
		$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
	target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:tt_flags>
		PUBLIC tt_exported Threads::Threads)
endfunction()

add_library(tutti_objects OBJECT ${tt_sources})
tt_library_object(tutti_objects)

add_library(tutti STATIC $<TARGET_OBJECTS:tutti_objects>)
add_library(tutti::tutti ALIAS tutti)
set_target_properties(tutti PROPERTIES LINKER_LANGUAGE C)
tt_library_for_users(tutti)

if(TT_BUILD_SHARED AND NOT TT_STATIC_EXE)
	add_library(tutti_shared SHARED $<TARGET_OBJECTS:tutti_objects>)
	add_library(tutti::shared ALIAS tutti_shared)
	# Before 1.0 a minor version may break programs, so it is part of the soname.
	if(PROJECT_VERSION_MAJOR EQUAL 0)
		set(soversion ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
	else()
		set(soversion ${PROJECT_VERSION_MAJOR})
	endif()
	set_target_properties(tutti_shared PROPERTIES OUTPUT_NAME tutti LINKER_LANGUAGE C
		VERSION ${PROJECT_VERSION} SOVERSION ${soversion})
	tt_library_for_users(tutti_shared)
	if(NOT TT_SANITIZE)
		target_link_options(tutti_shared PRIVATE -Wl,-z,defs)
	endif()
endif()

# Adapters: a static library per folder of ext/, using <tutti/...> only. Each folder
# names its dependency here; one that is missing switches the adapter off.
find_package(PkgConfig QUIET)

# tt_adapter(<name> <found?> <library or empty>...)
function(tt_adapter name found)
	string(TOUPPER ${name} upper)
	file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/ext/${name}/*.c)
	list(FILTER sources EXCLUDE REGEX "_(test|fuzz)\\.c$")
	set(TT_EXT_${upper} AUTO CACHE STRING "Build ext/${name}: ON, OFF, or AUTO when it can be")
	set(wanted ${TT_EXT_${upper}})
	if(wanted STREQUAL "AUTO")
		set(wanted ${found})
		if(sources AND NOT found)
			message(STATUS "ext/${name}: not built, its dependency was not found")
		endif()
	elseif(wanted AND NOT found)
		message(FATAL_ERROR "TT_EXT_${upper} is ON but its dependency was not found")
	endif()
	if(NOT wanted OR NOT sources)
		return()
	endif()
	add_library(tutti-ext-${name} STATIC ${sources})
	add_library(tutti::ext-${name} ALIAS tutti-ext-${name})
	target_include_directories(tutti-ext-${name} PUBLIC
		$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/ext>
		$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/ext/${name}>)
	if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/ext/${name}/include)
		target_include_directories(tutti-ext-${name} PUBLIC
			$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/ext/${name}/include>)
	endif()
	target_link_libraries(tutti-ext-${name} PRIVATE tt_flags PUBLIC tutti ${ARGN})
	set(TT_ADAPTERS ${TT_ADAPTERS} ${name} PARENT_SCOPE)
endfunction()

# llhttp: the packaged library where there is one, else the C sources that Debian 12
# ships in node-llhttp.
set(llhttp_found OFF)
set(llhttp_library "")
if(PkgConfig_FOUND AND NOT CMAKE_CROSSCOMPILING)
	pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET libllhttp)
endif()
if(LLHTTP_FOUND)
	set(llhttp_found ON)
	set(llhttp_library PkgConfig::LLHTTP)
else()
	find_path(LLHTTP_SOURCES llhttp.c PATHS /usr/share /usr/share/nodejs PATH_SUFFIXES llhttp
		NO_CMAKE_FIND_ROOT_PATH)
	find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include /usr/include PATH_SUFFIXES llhttp
		NO_CMAKE_FIND_ROOT_PATH)
	if(LLHTTP_SOURCES AND LLHTTP_INCLUDE)
		set(llhttp_found ON)
		set(llhttp_library tt_llhttp)
		add_library(tt_llhttp STATIC EXCLUDE_FROM_ALL
			${LLHTTP_SOURCES}/api.c ${LLHTTP_SOURCES}/http.c ${LLHTTP_SOURCES}/llhttp.c)
		target_include_directories(tt_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
		# Foreign code: its warnings are its own, our hardening and sanitizers apply.
		target_compile_options(tt_llhttp PRIVATE -w)
		target_link_libraries(tt_llhttp PRIVATE tt_flags PUBLIC tt_exported)
	endif()
endif()

set(sqlite_found OFF)
if(NOT CMAKE_CROSSCOMPILING)
	find_package(SQLite3 QUIET)
	if(SQLite3_FOUND)
		set(sqlite_found ON)
	endif()
endif()

# CURLOPT_QUICK_EXIT came with 7.87.
set(curl_found OFF)
if(NOT CMAKE_CROSSCOMPILING)
	find_package(CURL 7.87 QUIET)
	if(CURL_FOUND)
		set(curl_found ON)
	endif()
endif()

set(TT_ADAPTERS "")
tt_adapter(http ${llhttp_found} ${llhttp_library})
tt_adapter(sqlite ${sqlite_found} SQLite::SQLite3)
tt_adapter(curl ${curl_found} CURL::libcurl Threads::Threads)
