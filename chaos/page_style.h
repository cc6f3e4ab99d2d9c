/* chaos/page_style.h -- the style sheet of a page and of its pictures.
 *
 * Colours tell apart what is also said in words; the two sides have the same ones
 * everywhere. On paper everything is on white.
 */
#ifndef RF_CHAOS_PAGE_STYLE_H
#define RF_CHAOS_PAGE_STYLE_H

extern const char page_style[];

#endif
