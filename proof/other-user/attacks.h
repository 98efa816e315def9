/* The attacks, for the table of scenes. Each is run as the other user. */
#ifndef ATTACKS_H
#define ATTACKS_H

#include "other.h"

void flock_files_shared(int directory, uint32_t seed);
void flock_files(int directory, uint32_t seed);
void flock_whatever_comes(int directory, uint32_t seed);
void flock_directory(int directory, uint32_t seed);
void range_directory(int directory, uint32_t seed);
void range_directory_in_pieces(int directory, uint32_t seed);
void range_files(int directory, uint32_t seed);
void leases(int directory, uint32_t seed);
void leases_of_owner(int directory, uint32_t seed);
void orphans(int directory, uint32_t seed);
void orphan_links(int directory, uint32_t seed);
void orphan_directories(int directory, uint32_t seed);
void orphan_pipes(int directory, uint32_t seed);
void orphan_leases(int directory, uint32_t seed);
void previous_files(int directory, uint32_t seed);
void previous_leases(int directory, uint32_t seed);
void previous_others(int directory, uint32_t seed);
void lock_names(int directory, uint32_t seed);
void links(int directory, uint32_t seed);
void chaos(int directory, uint32_t seed);
/* He only looks: the spies are enough. */
void looks(int directory, uint32_t seed);

#endif
